import type { H1 } from "../protocol/brand.ts";
import type { Events } from "../core/events.ts";
import type { BlobKey, BlobStore } from "../core/ports.ts";
import { BrokenFile } from "./broken-file.ts";
import { attempt } from "./failures.ts";
import { zipHashKey } from "./layout.ts";

const h1Pattern = /^h1:[A-Za-z0-9+/]{43}=$/;

/**
 * The `.ziphash` files beside zips, which `go` wants when it takes the store for its module cache. Always written after the zip
 * they belong to: a zip without one is hashed by whoever needs it, while one without its zip could meet another zip.
 */
export class ZipHashes {
  readonly #blobs: BlobStore;
  readonly #events: Events;

  constructor(blobs: BlobStore, events: Events) {
    this.#blobs = blobs;
    this.#events = events;
  }

  /** The zip stands whether this works or not, so a failure is only told. */
  async write(zipKey: BlobKey, h1: H1): Promise<void> {
    await attempt(this.#events, this.#blobs.name, () => this.#blobs.replace(zipHashKey(zipKey), Buffer.from(h1)));
  }

  /** Compares a zip that has no facts with its `.ziphash`. A missing or cut one is written anew; another hash is a `BrokenFile`. */
  async check(zipKey: BlobKey, h1: H1): Promise<void> {
    const key = zipHashKey(zipKey);
    const found = (await this.#read(key))?.trim();
    if (found === h1) return;
    if (found !== undefined && h1Pattern.test(found))
      throw new BrokenFile(`its h1 is ${h1}, but its .ziphash says ${found}`);
    if (found !== undefined)
      this.#events.emit({ type: "file_corrupt", key, reason: "it is not an h1 hash; it was written anew" });
    await this.write(zipKey, h1);
  }

  async setAside(zipKey: BlobKey): Promise<void> {
    await this.#blobs.setAside(zipHashKey(zipKey));
  }

  async #read(key: BlobKey): Promise<string | undefined> {
    const blob = await this.#blobs.get(key);
    if (blob === undefined) return undefined;
    if (blob.size <= 1024) return Buffer.from(await blob.read()).toString("latin1");
    blob.discard();
    return "";
  }
}
