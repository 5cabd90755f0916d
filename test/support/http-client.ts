import { onTestFinished } from "vitest";
import type { HttpClient, HttpRequest, HttpResponse } from "../../src/net/http.ts";
import { createHttpClient, type HttpClientOptions } from "../../src/net/http-client.ts";
import type { SluiceError } from "../../src/core/errors.ts";

/** A client of one test, closed when the test ends. */
export function testClient(options: Partial<HttpClientOptions> = {}): HttpClient {
  const client = createHttpClient({ ca: [], userAgent: "sluice-test", instanceId: "test", ...options });
  onTestFinished(() => client.close());
  return client;
}

export function get(client: HttpClient, url: URL, request: Partial<HttpRequest> = {}): Promise<HttpResponse> {
  return client.get({ url, signal: new AbortController().signal, maxBytes: 1_000_000, ...request });
}

export async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function getText(client: HttpClient, url: URL, request: Partial<HttpRequest> = {}): Promise<string> {
  const response = await get(client, url, request);
  return (await readAll(response.body)).toString();
}

/** The error that a promise ends with. */
export async function failureOf(promise: Promise<unknown>): Promise<SluiceError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: SluiceError) => error,
  );
}
