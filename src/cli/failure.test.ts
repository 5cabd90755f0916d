import { describe, expect, it } from "vitest";
import { SluiceError } from "../core/errors.ts";
import { explainFailure } from "./failure.ts";

function listenError(code: string, address: string, port: number): Error {
  return Object.assign(new Error(`listen ${code}`), { code, syscall: "listen", address, port });
}

describe("what the caller can put right is exit code 2", () => {
  it.each([
    [
      listenError("EADDRINUSE", "::1", 3000),
      "cannot listen on [::1]:3000, which another program uses; stop that one, or choose another port with --listen or SLUICE_LISTEN",
    ],
    [
      listenError("EACCES", "127.0.0.1", 80),
      "cannot listen on 127.0.0.1:80, which this user is not allowed to; choose a port above 1023 with --listen or SLUICE_LISTEN",
    ],
    [
      listenError("EADDRNOTAVAIL", "192.0.2.1", 3000),
      "cannot listen on 192.0.2.1:3000, which is no address of this machine; choose one with --listen or SLUICE_LISTEN, such as :3000 for all of them",
    ],
    [
      listenError("EAFNOSUPPORT", "::1", 3000),
      "cannot listen on [::1]:3000, as this machine has no addresses of that kind; choose another with --listen or SLUICE_LISTEN",
    ],
    [
      new Error("the server did not start", { cause: listenError("EADDRINUSE", "127.0.0.1", 1) }),
      "cannot listen on 127.0.0.1:1, which another program uses; stop that one, or choose another port with --listen or SLUICE_LISTEN",
    ],
    [new SluiceError("config_invalid", "a; b"), "a; b"],
    [new SluiceError("integrity", "a is not b"), "a is not b"],
    [new SluiceError("upstream_failed", "a: refused the connection"), "a: refused the connection"],
    [new SluiceError("storage_failed", "do not begin anew", { details: { mayMove: false } }), "do not begin anew"],
    [
      new SluiceError(
        "storage_failed",
        'cannot make "/x": permission denied: let the user read and write there (EACCES)',
      ),
      'cannot make "/x": permission denied: let the user read and write there (EACCES); or choose another folder with --data-dir or SLUICE_DATA_DIR',
    ],
  ])("%s", (error, message) => {
    expect(explainFailure(error)).toStrictEqual({ message, exitCode: 2 });
  });
});

describe("anything else is a bug, shown with its stack and exit code 1", () => {
  it.each([
    [new TypeError("x is not a function"), /x is not a function\n +at /],
    [new SluiceError("internal", "no idea"), /no idea/],
    [listenError("EWHATEVER", "127.0.0.1", 1), /listen EWHATEVER/],
    ["thrown text", /thrown text/],
  ])("%s", (error, pattern) => {
    const { message, exitCode } = explainFailure(error);
    expect(exitCode).toBe(1);
    expect(message).toMatch(/^unexpected error, which is a bug in Sluice: /);
    expect(message).toMatch(pattern);
  });

  it("ends for an error that is its own cause", () => {
    const error = new Error("round");
    error.cause = error;
    expect(explainFailure(error).exitCode).toBe(1);
  });
});
