import { expect } from "vitest";
import { ProtocolError } from "../../src/protocol/error.ts";
import { hashZip, readZip } from "../../src/protocol/zip/index.ts";
import { mib, sampleModule, strictAccess } from "./zip-sample.ts";

export interface Refusal {
  readonly zip: Buffer;
  readonly message: RegExp;
  /** Default `malformed_zip`. */
  readonly code?: string;
}

/** Why the zip is refused: in one short line, and the same whether its entries are read at once or in pieces. */
export async function refusalOf(zip: Uint8Array): Promise<ProtocolError> {
  const error = problemOf(() => hashZip(strictAccess(zip), sampleModule));
  expect(error.message).not.toMatch(/[\n\r]/);
  expect(error.message.length).toBeLessThan(700);
  expect(error.message.isWellFormed()).toBe(true);
  await expect(readInPieces(zip)).rejects.toMatchObject({ name: "ProtocolError", code: error.code });
  return error;
}

async function readInPieces(zip: Uint8Array): Promise<void> {
  const reader = readZip(strictAccess(zip), sampleModule);
  for (const entry of reader.entries) {
    for await (const chunk of reader.stream(entry)) expect(chunk.length).toBeLessThanOrEqual(mib);
  }
}

function problemOf(act: () => unknown): ProtocolError {
  try {
    act();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  return expect.unreachable("accepted");
}
