/** Whether Go's `path.Clean` leaves the path as it is. `.`, `..`, `/` and `../a` are clean, the empty path is not. */
export function isCleanPath(path: string): boolean {
  if (path === "." || path === "/") return true;
  const isRooted = path.startsWith("/");
  let mayGoUp = !isRooted;
  for (const element of (isRooted ? path.slice(1) : path).split("/")) {
    if (element === "" || element === ".") return false;
    if (element !== "..") mayGoUp = false;
    else if (!mayGoUp) return false;
  }
  return true;
}

/** The folder with its trailing slash (empty for none) and the name, as Go's `path.Split`. */
export function splitPath(path: string): { directory: string; base: string } {
  const slash = path.lastIndexOf("/");
  return { directory: path.slice(0, slash + 1), base: path.slice(slash + 1) };
}
