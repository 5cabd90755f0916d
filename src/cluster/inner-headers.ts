import type { IncomingMessage } from "node:http";
import type { Answer } from "../core/answer.ts";
import type { ClientAddress } from "../server/client-address.ts";

// What a front and the engine tell each other beside HTTP. They meet on a socket that nobody else can open, and a front takes these
// headers from nobody and gives them to nobody.

/** Who asks: an address or an identity. */
export const clientHeader = "x-sluice-client";
const freshHeader = "x-sluice-fresh-ms";
const sourceHeader = "x-sluice-source";

export const innerHeaders: ReadonlySet<string> = new Set([clientHeader, freshHeader, sourceHeader]);

/** Of the engine: whom a front asks for. */
export const passedOnClient: ClientAddress = ({ headers }) => String(headers[clientHeader] ?? "");

/** Of the engine: what a front needs to give the same answer again. */
export function tellAnswer({ source, freshForMs, immutable }: Answer): Record<string, string> {
  const fresh = immutable ? "immutable" : String(Math.floor(freshForMs));
  // Names of sources are printable, but not always ASCII.
  return { [freshHeader]: fresh, [sourceHeader]: encodeURIComponent(source) };
}

/** Of a front: how long the answer stays as it is, from now on in milliseconds, and where it came from. */
export function readAnswer({ headers }: IncomingMessage): { readonly freshForMs: number; readonly source: string } {
  const fresh = headers[freshHeader];
  const freshForMs = fresh === "immutable" ? Number.POSITIVE_INFINITY : Number(fresh ?? 0);
  return {
    freshForMs: Number.isNaN(freshForMs) ? 0 : freshForMs,
    source: decodeURIComponent(String(headers[sourceHeader] ?? "")),
  };
}
