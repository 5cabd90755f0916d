import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ownLogKey } from "../../../test/support/own-log.ts";
import { Secret } from "../../core/secret.ts";
import { readLogKeys } from "./keys.ts";

describe("the keys of our own log", () => {
  const first = ownLogKey(0);
  const second = ownLogKey(1);

  let folder: string;
  let warnings: string[];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-keys-"));
    warnings = [];
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("are none when nothing is given", async () => {
    expect(await namesOf([])).toEqual([]);
  });

  it("come from files and the environment, in this order", async () => {
    const third = ownLogKey(2);
    const files = [await keyFile("a", `${first}\n`), await keyFile("b", `\r\n${second}\r\n`)];
    expect(await namesOf(files, third)).toEqual([first, second, third].map(hashPartOf));
    expect(warnings).toEqual([]);
  });

  it("may be several in one place, each in a line of its own", async () => {
    expect(await namesOf([await keyFile("a", `${first}\n\n  ${second}  \n`)])).toEqual([first, second].map(hashPartOf));
    expect(await namesOf([], `${first}\n${second}`)).toEqual([first, second].map(hashPartOf));
  });

  it.each([0o640, 0o604, 0o660])("with a file open to others (mode %o) are warned of", async (mode) => {
    const file = await keyFile("a", first, mode);
    expect(await namesOf([file])).toHaveLength(1);
    expect(warnings).toEqual([expect.stringMatching(new RegExp(`${file} .*mode ${mode.toString(8)}.*chmod 600`))]);
  });

  it("in a file that everybody may write are refused", async () => {
    await expect(namesOf([await keyFile("a", first, 0o602)])).rejects.toMatchObject(refused(/every user.*chmod 600/));
  });

  it.each([
    ["an empty file", " \n", /has no key: make one with sluice sumdb init/],
    ["a public key", "corp.example+12345678+AAAA", /malformed signer key/],
    ["half a key", first.slice(0, -10), /malformed signer key/],
    ["a key of another hash", first.replace(/\+[0-9a-f]{8}\+/, "+00000000+"), /invalid signer hash/],
    ["text behind the key", `${first} old`, /malformed signer key/],
  ])("are refused in words for %s, without any part of the key", async (_, content, words) => {
    const problem = await namesOf([await keyFile("a", content)]).catch((error: unknown) => error);
    expect(problem).toMatchObject(refused(words));
    expect(String(problem)).not.toContain(first.slice(-20, -10));
  });

  it("are refused when they are not of one log", async () => {
    await expect(namesOf([], `${first}\n${ownLogKey(0, "other.example")}`)).rejects.toMatchObject(
      refused(/different names \(corp\.example, other\.example\)/),
    );
  });

  it("are refused when one is there twice", async () => {
    await expect(namesOf([await keyFile("a", first)], first)).rejects.toMatchObject(refused(/given twice/));
  });

  it("say what is wrong with a file that cannot be read", async () => {
    const missing = path.join(folder, "missing");
    await expect(namesOf([missing])).rejects.toMatchObject(refused(/missing does not exist: make one/));
    await mkdir(path.join(folder, "dir"), { mode: 0o700 });
    await expect(namesOf([path.join(folder, "dir")])).rejects.toMatchObject(refused(/dir is a folder/));
  });

  /** The hash part of each key, which tells them apart. */
  async function namesOf(files: readonly string[], text?: string): Promise<string[]> {
    const signers = await readLogKeys({
      files,
      text: text === undefined ? undefined : new Secret(text),
      warn: (message) => void warnings.push(message),
    });
    return signers.map(({ keyHash }) => keyHash.toString(16).padStart(8, "0"));
  }

  async function keyFile(name: string, content: string, mode = 0o600): Promise<string> {
    const file = path.join(folder, name);
    await writeFile(file, content);
    await chmod(file, mode);
    return file;
  }

  function hashPartOf(key: string): string {
    return key.split("+")[3] ?? "";
  }

  function refused(words: RegExp) {
    return { code: "config_invalid", message: expect.stringMatching(words) };
  }
});
