import { Secret } from "../core/secret.ts";
import type { Report } from "./checks.ts";
import { readVariable } from "./environment.ts";
import { readNamedFile, type Surroundings } from "./overrides.ts";
import type { Settings } from "./schema.ts";
import { adminTokenEnv } from "./settings.ts";

const minLength = 16;
const advice = "make one with `openssl rand -hex 32`";

export interface AdminSurroundings extends Surroundings {
  /** Takes a whole sentence. */
  readonly complain: (sentence: string) => void;
}

/** The token that the configuration names; undefined when it names none. Messages never quote it. */
export function readAdminToken(
  { tokenFile, tokenEnv }: Settings["admin"],
  around: AdminSurroundings,
  report: Report,
): Secret | undefined {
  if (tokenFile !== "" && tokenEnv !== "") {
    report("admin.token_env", "stands beside token_file; keep one of them");
    return undefined;
  }
  if (tokenFile !== "") {
    const about = (problem: string): void => report("admin.token_file", problem, { value: tokenFile });
    const token = readNamedFile(tokenFile, around, about)?.replace(/[\r\n]+$/, "");
    return token === undefined ? undefined : checked(token, (problem) => about(`holds ${problem}`));
  }
  if (tokenEnv !== "") {
    const token = readVariable(around.env, tokenEnv);
    if (token === undefined) report("admin.token_env", "names an environment variable that is not set");
    else return checked(token, (problem) => report("admin.token_env", `names a variable with ${problem}`));
    return undefined;
  }
  const token = readVariable(around.env, adminTokenEnv);
  return token === undefined
    ? undefined
    : checked(token, (problem) => around.complain(`${adminTokenEnv} holds ${problem}`));
}

/** As it goes into the head of a request. */
function checked(token: string, complain: (problem: string) => void): Secret | undefined {
  if (!/^[\x21-\x7e]*$/.test(token)) complain(`a token with blanks or characters outside of ASCII; ${advice}`);
  else if (token.length < minLength)
    complain(`a token of less than ${minLength} characters, which can be guessed; ${advice}`);
  else return new Secret(token);
  return undefined;
}
