/** Events that say of a store what kills must never bring about. */
const forbidden = new Set([
  "file_corrupt",
  "bucket_conflict",
  "ledger_conflict",
  "integrity_failed",
  "store_failed",
  "sum_fork",
]);
const warn = 40;

/** What a node has logged in JSON: `troubles` are whole lines, `warnings` are names of events, or the words where there is none. */
export function logTrouble(output: string): {
  readonly warnings: readonly string[];
  readonly troubles: readonly string[];
} {
  const warnings: string[] = [];
  const troubles: string[] = [];
  for (const line of output.split("\n")) {
    const said = parse(line);
    if (said === undefined) {
      // The banner has none of these.
      if (/Error|^\s+at /.test(line)) troubles.push(line);
      continue;
    }
    if (Number(said["level"]) < warn) continue;
    const name = String(said["event"] ?? said["msg"]);
    // A bucket may be away; a disk may not.
    const isOfBucket = String(said["store"]).startsWith("s3://");
    if (forbidden.has(name) && !isOfBucket) troubles.push(line.slice(0, 600));
    else warnings.push(name === "incident_opened" ? `incident ${String(said["rule"])}` : name);
  }
  return { warnings, troubles };
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
