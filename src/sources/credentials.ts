import { Secret } from "../core/secret.ts";

/** A user name and password for one upstream. */
export class Credentials extends Secret<{ readonly username: string; readonly password: string }> {
  constructor(username: string, password: string) {
    super({ username, password });
  }
}
