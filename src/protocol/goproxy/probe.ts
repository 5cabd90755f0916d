/**
 * Hosts whose modules start at the third path element, by go's own static table (SPEC §4.2) or, for GitLab, by its routes:
 * every project lives in a namespace.
 */
const repositoryHosts: ReadonlySet<string> = new Set(["github.com", "bitbucket.org", "gitlab.com"]);

/** Single prefixes of well-known modules that are none themselves. go refuses `rsc.io` by name. */
const knownPrefixes: ReadonlySet<string> = new Set(["golang.org", "golang.org/x", "gopkg.in", "rsc.io"]);

/**
 * Whether no module can have this path. For a new import `go` asks for every prefix of it, `github.com` and
 * `github.com/user` included (SPEC §1.5); these are answered without asking anyone. False for anything not certain.
 */
export function canNeverBeModule(path: string): boolean {
  if (knownPrefixes.has(path)) return true;
  const slash = path.indexOf("/");
  if (slash < 0) return repositoryHosts.has(path);
  return path.indexOf("/", slash + 1) < 0 && repositoryHosts.has(path.slice(0, slash));
}
