/**
 * Whether a slash-separated path begins with the elements of a prefix, as the go command sees it: `a/b` has the prefixes `a`, `a/`
 * and `a/b`, and not `a/b/` or `a/bc`. The empty prefix is nobody's but the empty path's.
 */
export function hasPathPrefix(path: string, prefix: string): boolean {
  if (path.length <= prefix.length) return path === prefix;
  if (prefix === "") return false;
  return path.startsWith(prefix) && (prefix.endsWith("/") || path.charAt(prefix.length) === "/");
}
