import { Secret } from "../core/secret.ts";
import type { Report } from "./checks.ts";
import { readVariable } from "./environment.ts";
import { readNamedFile, type Surroundings } from "./overrides.ts";
import type { Settings } from "./schema.ts";

type RedisSettings = Settings["redis"];

/** `[redis]`, its files read. */
export interface RedisConfig extends Pick<RedisSettings, "url" | "username" | "prefix" | "leaseWaitMs"> {
  readonly password: Secret | undefined;
  /** Certificates in PEM, and the file they are from. */
  readonly ca: { readonly pem: string; readonly file: string } | undefined;
}

/** Undefined when no Redis is to be used. Messages never quote a URL that may hold a password. */
export function readRedis(settings: RedisSettings, around: Surroundings, report: Report): RedisConfig | undefined {
  const { url, username, prefix, leaseWaitMs } = settings;
  if (!/^[\w.:-]{1,64}$/.test(prefix))
    report("redis.prefix", "is no prefix; write up to 64 letters, digits and . _ : -", { value: prefix });
  const password = readPassword(settings, around, report);
  const ca = readCa(settings, around, report);
  if (url === "") return undefined;
  checkUrl(url, report);
  return { url, username, prefix, leaseWaitMs, password, ca };
}

function checkUrl(text: string, report: Report): void {
  const url = URL.parse(text);
  // As much of what cannot be read as comes before an @ may be a password.
  if (text.includes("@"))
    report("redis.url", "has a user name or password in it; write username and password_file instead");
  else if (url === null || (url.protocol !== "redis:" && url.protocol !== "rediss:") || url.hostname === "")
    report("redis.url", "is no address of a Redis; write redis://host:6379, or rediss://host:6379 with TLS", {
      value: text,
    });
  else if (!/^(\/\d{0,4})?$/.test(url.pathname) || url.search !== "" || url.hash !== "")
    report("redis.url", "has more behind its host than the number of a database; write it as redis://host:6379/1", {
      value: text,
    });
}

function readPassword(
  { passwordFile, passwordEnv }: RedisSettings,
  around: Surroundings,
  report: Report,
): Secret | undefined {
  if (passwordFile !== "" && passwordEnv !== "") {
    report("redis.password_env", "stands beside password_file; keep one of them");
    return undefined;
  }
  if (passwordEnv !== "") {
    const password = readVariable(around.env, passwordEnv);
    if (password === undefined) report("redis.password_env", "names an environment variable that is not set");
    return password === undefined ? undefined : new Secret(password);
  }
  if (passwordFile === "") return undefined;
  const say = (problem: string): void => report("redis.password_file", problem, { value: passwordFile });
  const password = readNamedFile(passwordFile, around, say)?.replace(/[\r\n]+$/, "");
  if (password === "") say("is empty");
  return password === undefined ? undefined : new Secret(password);
}

function readCa({ caFile }: RedisSettings, around: Surroundings, report: Report): RedisConfig["ca"] {
  if (caFile === "") return undefined;
  const say = (problem: string): void => report("redis.ca_file", problem, { value: caFile });
  const pem = readNamedFile(caFile, around, say);
  if (pem !== undefined && !pem.includes("-----BEGIN CERTIFICATE-----")) say("holds no certificate in PEM form");
  return pem === undefined ? undefined : { pem, file: caFile };
}
