/** One sentence when this Node is older than the package's `engines.node`, such as `>=24`. */
export function explainOldNode(version: string, engines: string): string | undefined {
  const needed = Number.parseInt(engines.replace(/^\D+/, ""), 10);
  if (Number.parseInt(version, 10) >= needed) return undefined;
  return `this is Node.js ${version}, and Sluice needs ${needed} or newer; in a checkout, \`npm ci && npm start\` brings its own`;
}
