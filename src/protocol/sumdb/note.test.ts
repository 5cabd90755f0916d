import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { maxNoteBytes } from "./limits.ts";
import { generateKey, parseSignerKey, parseVerifierKey } from "./note-key.ts";
import { openNote, signNote } from "./note.ts";

const peter = parseSignerKey("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz");
const enoch = parseSignerKey(generateKey("EnochRoot", new Uint8Array(32)).signerKey);
const [peterVerifier, enochVerifier] = [parseVerifierKey(peter.verifierKey), parseVerifierKey(enoch.verifierKey)];
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const peterLine =
  "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const enochLine =
  "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
const note = `${text}\n${peterLine}${enochLine}`;

function open(message: string | Uint8Array, verifiers = [peterVerifier, enochVerifier]) {
  const { text, signedBy } = openNote(Buffer.from(message), verifiers);
  return [text, ...signedBy.map(({ name }) => name)];
}

describe("a note", () => {
  test("is signed as go signs it", () => {
    expect(Buffer.from(signNote(text, [peter, enoch])).toString()).toBe(note);
  });

  test("is opened with any of the keys that signed it", () => {
    expect(open(note)).toEqual([text, "PeterNeumann", "EnochRoot"]);
    expect(open(note, [enochVerifier])).toEqual([text, "EnochRoot"]);
  });

  test("may be signed by others, and twice by one", () => {
    expect(open(`${text}\n— who AAAAAAA=\n${enochLine}${enochLine}`)).toEqual([text, "EnochRoot"]);
    expect(open(`${text}\n${enochLine.replace("rwz+eB", "AAAAAA")}${peterLine}`)).toEqual([text, "PeterNeumann"]);
  });

  test("is signed behind the last empty line", () => {
    const other = "a\n\nb\n";
    expect(open(signNote(other, [peter]))).toEqual([other, "PeterNeumann"]);
  });

  test.each([
    ["nobody known", `${text}\n— who AAAAAAA=\n`, "note has no verifiable signatures"],
    ["a changed text", note.replace("answer", "Answer"), "invalid signature for key PeterNeumann+c74f20a3"],
    ["a changed signature", note.replace("eBzmZa", "eBzmZb"), "invalid signature for key EnochRoot+af0cfe78"],
    [
      "a signature of another length",
      `${text}\n— EnochRoot rwz+eBzm\n`,
      "invalid signature for key EnochRoot+af0cfe78",
    ],
    ["no signatures", text, "has no signatures"],
    ["none behind the empty line", `${text}\n`, "does not end with a line of signature"],
    ["an unended line", note.slice(0, -1), "does not end with a line of signature"],
    ["a line without dash", `${text}\n${peterLine}x\n`, "malformed line of signature"],
    ["a hyphen for a dash", note.replace("— P", "- P"), "malformed line of signature"],
    ["a name with a plus", `${text}\n— a+b AAAAAAA=\n${peterLine}`, "malformed line of signature"],
    ["a name that is empty", `${text}\n—  AAAAAAA=\n${peterLine}`, "malformed line of signature"],
    ["a signature that is empty", `${text}\n— who AAAAAA==\n${peterLine}`, "malformed line of signature"],
    ["a signature that is no base64", `${text}\n— who AAAAAAA\n${peterLine}`, "malformed line of signature"],
    ["a hundred and one signatures", `${text}\n${"— who AAAAAAA=\n".repeat(100)}${peterLine}`, "more than 100"],
    ["a control character", note.replace("know", "kn\u0001w"), "has bytes that are no text"],
    ["a carriage return", note.replaceAll("\n", "\r\n"), "has no signatures"],
    ["bytes that are no UTF-8", Buffer.concat([Buffer.of(0xff), Buffer.from(note)]), "has bytes that are no text"],
    ["too many bytes", `${"x".repeat(maxNoteBytes)}\n\n${peterLine}`, `more than ${maxNoteBytes}`],
  ])("with %s is refused", (_, message, problem) => {
    expect(() => open(message)).toThrow(problem);
  });

  test("is refused when two of the known keys cannot be told apart", () => {
    expect(() => open(note, [peterVerifier, peterVerifier])).toThrow("ambiguous key PeterNeumann+c74f20a3");
  });

  test.each([["no line end"], ["a\u0000\n"], ["a\rb\n"], ["\ud800\n"]])("cannot say %j", (text) => {
    expect(() => signNote(text, [peter])).toThrow("must be text that ends with a line end");
  });

  test("needs a signature", () => {
    expect(() => signNote(text, [])).toThrow("needs a signature");
  });

  test("with any text is opened as it was signed", () => {
    const line = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), (lines) => {
        const text = `${lines.join("\n")}\n`;
        expect(open(signNote(text, [enoch]))).toEqual([text, "EnochRoot"]);
      }),
    );
  });
});
