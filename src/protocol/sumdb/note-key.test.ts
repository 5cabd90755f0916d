import { describe, expect, test } from "vitest";
import { ProtocolError } from "../error.ts";
import { generateKey, parseSignerKey, parseVerifierKey } from "./note-key.ts";

const signerKey = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const verifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

describe("a verifier key", () => {
  test.each([
    [verifierKey, "PeterNeumann", 0xc74f20a3],
    ["sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", "sum.golang.org", 0x033de0ae],
  ])("%s", (text, name, keyHash) => {
    expect(parseVerifierKey(text)).toMatchObject({ name, keyHash });
  });

  test.each([
    ["", "malformed verifier id"],
    ["PeterNeumann", "malformed verifier id"],
    ["PeterNeumann+c74f20a3", "malformed verifier id"],
    ["PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "malformed verifier id"],
    ["PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", "malformed verifier id"],
    ["Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "malformed verifier id"],
    ["+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "malformed verifier id"],
    ["PeterNeumann+c74f20a3+", "malformed verifier id"],
    [`${verifierKey}\n`, "malformed verifier id"],
    ["PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "invalid verifier hash"],
    ["Peterneumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "invalid verifier hash"],
    // These have the right hash.
    ["x+ef1c78b5+Ag==", "unknown verifier algorithm"],
    ["x+be710db5+AQAA", "malformed verifier id"],
  ])("is not %j", (text, message) => {
    expect(() => parseVerifierKey(text)).toThrow(new ProtocolError("malformed_key", message));
  });
});

describe("a signer key", () => {
  test("has its public half", () => {
    expect(parseSignerKey(signerKey)).toMatchObject({ name: "PeterNeumann", keyHash: 0xc74f20a3, verifierKey });
  });

  test.each([
    ["", "malformed signer key"],
    [verifierKey, "malformed signer key"],
    [signerKey.replace("KEY", "key"), "malformed signer key"],
    [signerKey.replace("PeterNeumann", ""), "its name is empty"],
    [signerKey.replace("PeterNeumann", "Peter Neumann"), "its name is empty or has a space"],
    [signerKey.replace("c74f20a3", "c74f20a4"), "invalid signer hash"],
    [signerKey.replace("PeterNeumann", "x"), "invalid signer hash"],
    ["PRIVATE+KEY+x+00000000+AgAA", "unknown signer algorithm"],
    ["PRIVATE+KEY+x+00000000+AQAA", "its length is wrong"],
  ])("is not %j", (text, message) => {
    expect(() => parseSignerKey(text)).toThrow(message);
  });

  test("stays out of messages", () => {
    const secret = "AYEKFALVFGyNhPJEMzD1QIDr";
    for (const text of [signerKey.replace("c74f20a3", "c74f20a4"), `${signerKey}=`, signerKey.replace("+KEY", "")]) {
      expect(() => parseSignerKey(text)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining(secret) }),
      );
    }
  });
});

describe("a new key", () => {
  test("is that of its seed", () => {
    expect(generateKey("EnochRoot", new Uint8Array(32))).toEqual({
      signerKey: "PRIVATE+KEY+EnochRoot+af0cfe78+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
      verifierKey: "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
    });
  });

  test("is another one each time, and both halves fit", () => {
    const [first, second] = [generateKey("corp.example"), generateKey("corp.example")];
    expect(first.signerKey).not.toBe(second.signerKey);
    const signature = parseSignerKey(first.signerKey).sign(Buffer.from("text\n"));
    expect(parseVerifierKey(first.verifierKey).verify(Buffer.from("text\n"), signature)).toBe(true);
    expect(parseVerifierKey(first.verifierKey).verify(Buffer.from("Text\n"), signature)).toBe(false);
    expect(parseVerifierKey(first.verifierKey).verify(Buffer.from("text\n"), signature.subarray(1))).toBe(false);
    expect(parseVerifierKey(second.verifierKey).verify(Buffer.from("text\n"), signature)).toBe(false);
  });

  test.each(["", "a b", "a+b", "a\u00a0b", "a\u0001b"])("cannot be named %j", (name) => {
    expect(() => generateKey(name)).toThrow("malformed key name");
  });

  test("needs a seed of 32 bytes", () => {
    expect(() => generateKey("x", new Uint8Array(31))).toThrow("a key's seed has 32 bytes, not 31");
  });
});
