import { describe, expect, it } from "vitest";
import { SluiceError } from "../core/errors.ts";
import { storageError } from "./storage-error.ts";

describe("a storage error", () => {
  it.each([
    ["ENOSPC", /^cannot write "\/data\/x": no space is left there: free some \(ENOSPC\)$/],
    ["EDQUOT", /quota/],
    ["EACCES", /permission denied: let the user Sluice runs as \(uid \d+\)/],
    ["EROFS", /read-only file system: mount it writable/],
    ["EIO", /check the disk/],
    ["EMFILE", /ulimit -n/],
    ["EWHATEVER", /^cannot write "\/data\/x": the system's words \(EWHATEVER\)$/],
  ])("says what %s means, where, and what to do", (code, message) => {
    const cause = Object.assign(new Error("the system's words"), { code });
    expect(storageError("write", "/data/x", cause)).toMatchObject({
      code: "storage_failed",
      message: expect.stringMatching(message),
      cause,
      details: { operation: "write", path: "/data/x", errno: code },
    });
  });

  it("quotes a path that could be taken for something else", () => {
    expect(storageError("read", 'a"\nb', new Error("no")).message).toBe('cannot read "a\\"\\nb": no');
  });

  it("stays what it was when it is one already", () => {
    const error = new SluiceError("integrity", "broken");
    expect(storageError("write", "/data/x", error)).toBe(error);
  });
});
