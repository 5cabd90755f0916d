import { goQuote } from "../../../protocol/quote.ts";

/** Why a remote is not used. */
export interface RemoteRefusal {
  /** `invalid`: no address at all. `local`: not one of another host; go says so later. `unsafe`: one that Sluice does not go to. */
  readonly kind: "invalid" | "local" | "unsafe";
  readonly problem: string;
}

export interface Remote {
  /** As git gets it: `scheme://[user@]host[:port]/path`. A user name stands only where it is a part of the address, for SSH. */
  readonly url: string;
  readonly hostname: string;
}

export interface RemoteRules {
  /** GOINSECURE: `http` and `git` will do. */
  readonly insecure: boolean;
}

const schemes = {
  git: { secure: ["https", "ssh", "git+ssh"], plain: ["http", "git"] },
  mod: { secure: ["https"], plain: ["http"] },
};

/**
 * Reads the address of a repository that a stranger wrote. It ends up in the arguments of git and of ssh, so it has to be of the one
 * shape that neither takes for an option, a local folder, or a helper to run (`ext::`).
 */
export function checkRemote(
  text: string,
  { insecure, vcs = "git" }: RemoteRules & { readonly vcs?: "git" | "mod" },
): Remote | { readonly refusal: RemoteRefusal } {
  const problem = repoRootProblem(text);
  if (problem !== undefined) return refuse("invalid", `invalid repo root ${goQuote(text)}: ${problem}`);
  if (vcs === "git" && !text.includes("://")) {
    return refuse("local", `git remote (${text}) must not be local directory (use URL syntax not host:path syntax)`);
  }
  const scheme = text.slice(0, text.indexOf(":")).toLowerCase();
  const { secure, plain } = schemes[vcs];
  if (!secure.includes(scheme) && !plain.includes(scheme)) {
    const allowed = (insecure ? [...secure, ...plain] : secure).join(", ");
    return refuse("unsafe", `the scheme of ${goQuote(withoutUserInfo(text))} is none of ${allowed}`);
  }
  if (!secure.includes(scheme) && !insecure) {
    return refuse("unsafe", `${goQuote(withoutUserInfo(text))} is not secure, and GOINSECURE does not allow that`);
  }
  return checkAuthority(text, scheme);
}

const authority = /^:\/\/(?:([^@/]*)@)?([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(\/.*)?$/;

function checkAuthority(text: string, scheme: string): Remote | { readonly refusal: RemoteRefusal } {
  const [, user, hostname, port = "", path = ""] = authority.exec(text.slice(scheme.length)) ?? [];
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (hostname === undefined || /[\s\u0000-\u001f\u007f\\]/.test(text)) {
    return refuse("invalid", `invalid repo root ${goQuote(withoutUserInfo(text))}: not a host and a path`);
  }
  if (user?.includes(":") === true) {
    return refuse(
      "unsafe",
      `${goQuote(withoutUserInfo(text))} has a password in it, which everybody can read; credentials belong into the configuration`,
    );
  }
  if (user !== undefined && !/^[A-Za-z0-9_][\w.+~-]*$/.test(user)) {
    return refuse("unsafe", `${goQuote(withoutUserInfo(text))} has a user name that is none`);
  }
  const login = user !== undefined && scheme.endsWith("ssh") ? `${user}@` : "";
  const url = `${scheme}://${login}${hostname}${port}${path}`;
  if (!URL.canParse(url)) return refuse("invalid", `invalid repo root ${goQuote(url)}: not a host and a path`);
  return { url, hostname };
}

/** What go itself asks of the address in a meta tag, in its words. */
export function repoRootProblem(text: string): string | undefined {
  const [url = ""] = text.split("#", 1);
  // oxlint-disable-next-line no-control-regex -- as net/url has it
  if (/[\u0000-\u001f\u007f]/.test(text)) return `parse ${goQuote(text)}: net/url: invalid control character in URL`;
  if (url.startsWith(":")) return `parse ${goQuote(url)}: missing protocol scheme`;
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(url)?.[1]?.toLowerCase();
  if (scheme === "file") return "file scheme disallowed";
  if (scheme !== undefined) return undefined;
  if (/^[^/?]*:/.test(url)) return `parse ${goQuote(url)}: first path segment in URL cannot contain colon`;
  return "no scheme";
}

/**
 * What is wrong with the folder in a meta tag. It becomes a part of file names, tag names and a pathspec of `git archive`, so it must
 * stay within the repository and have no character that means something there.
 */
export function subdirProblem(subdir: string): string | undefined {
  if (subdir.startsWith("/")) return "leading slash";
  if (subdir.startsWith("-")) return "leading hyphen";
  if (subdir.startsWith(":")) return "leading colon";
  if (subdir.split("/").some((element) => element === "." || element === "..")) return "relative path element";
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (/[*?[\\\u0000-\u001f\u007f]/.test(subdir)) return "wildcard or control character";
  return undefined;
}

function withoutUserInfo(text: string): string {
  return text.replace(/^([^/]*\/\/)[^/]*@/, "$1");
}

function refuse(kind: RemoteRefusal["kind"], problem: string): { readonly refusal: RemoteRefusal } {
  return { refusal: { kind, problem } };
}
