import { setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** Of `[store]`: what Sluice does in the background for what it keeps, and for the disk that it is on. */
export const upkeepSettings = {
  reserveBytes: setting(value.size(), {
    kind: "size",
    default: "256MiB",
    restart: true,
    synonyms: ["min_free", "free_space", "disk_reserve", "reserved"],
    doc: "Free disk space that files of modules leave to databases and logs, but at most a twentieth of the disk. With less than twice as much, room is made: with a bucket by what it has, with `max_size` by what was unused for longest. Below the reserve no new file is kept until there is space again: clients get it through memory, and everything stored is served. `0B` is no reserve.",
  }),
  // No timer waits for it at once.
  scrubIntervalMs: setting(value.duration({ max: Number.MAX_SAFE_INTEGER }), {
    kind: "duration",
    default: "30d",
    synonyms: ["scrub", "verify_interval"],
    doc: "How long after one scrub the next begins: every file of the data folder is read and compared with what was recorded of it, broken ones are set aside and fetched again. `0s` turns it off; `sluice scrub` does it at once.",
  }),
  scrubRateBytes: setting(value.size({ min: 1024 }), {
    kind: "size",
    default: "8MiB",
    doc: "How much a scrub reads in a second.",
  }),
  maxSizeBytes: setting(value.size(), {
    kind: "size",
    default: "0B",
    synonyms: ["size", "limit", "max_disk_size"],
    doc: "Disk space of all files of versions in the data folder. Beyond it, or where free space nears `reserve`, those unused for longest are removed, and fetched again when somebody asks; they must then be what they were. What may not come back stays: private modules, versions from their repositories, and what no checksum database has confirmed. `0B` is no limit: every version is kept for ever.",
  }),
};
