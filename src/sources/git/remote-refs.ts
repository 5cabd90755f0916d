import type { GitCommand } from "./command.ts";
import { parseRemoteRefs, type RefSnapshot } from "./refs.ts";
import type { RemoteHost, RemoteHostOptions } from "./remote-host.ts";

export interface RemoteRefsOptions extends Pick<RemoteHostOptions, "url" | "events" | "clock"> {
  readonly git: GitCommand;
  readonly host: RemoteHost;
  readonly timeoutMs: number;
  /** How long the branches and tags of a host are believed. What is not among them is asked for again at once. */
  readonly refsTtlMs: number;
}

/** The branches and tags of a remote, asked once for all who want to know them. */
export class RemoteRefs {
  readonly #parts: RemoteRefsOptions;
  #asked: { readonly at: number; readonly answer: Promise<RefSnapshot>; isAnswered: boolean } | undefined;
  #last: RefSnapshot | undefined;

  constructor(parts: RemoteRefsOptions) {
    this.#parts = parts;
  }

  /** What was answered last, however long ago. */
  get last(): RefSnapshot | undefined {
    return this.#last;
  }

  get isAsking(): boolean {
    return this.#asked?.isAnswered === false;
  }

  /** As of `notBefore` (milliseconds since the epoch) or later, and not older than what is believed. */
  read(client: string, notBefore: number): Promise<RefSnapshot> {
    const { clock, refsTtlMs } = this.#parts;
    const now = clock.now();
    const known = this.#asked;
    if (known !== undefined && known.at >= notBefore && now - known.at < refsTtlMs) return known.answer;
    const answer = this.#list(client, now).catch((error: unknown) => {
      if (this.#asked?.answer === answer) this.#asked = undefined;
      throw error;
    });
    const asked = { at: now, answer, isAnswered: false };
    this.#asked = asked;
    void answer.then(
      () => (asked.isAnswered = true),
      () => (asked.isAnswered = true),
    );
    return answer;
  }

  /** They turned out to be old. */
  forget(): void {
    this.#asked = undefined;
  }

  async #list(client: string, askedAt: number): Promise<RefSnapshot> {
    const { git, host, url, timeoutMs } = this.#parts;
    await git.check();
    const args = ["ls-remote", "-q", "--end-of-options", url];
    const output = await host.run("refs", { args, timeoutMs, client });
    const refs = parseRemoteRefs(output.toString("utf8"), askedAt);
    this.#reportMovedTags(refs);
    return refs;
  }

  #reportMovedTags(refs: RefSnapshot): void {
    const { events, url } = this.#parts;
    const last = this.#last;
    this.#last = refs;
    if (last === undefined || last.sum === refs.sum) return;
    for (const [name, from] of last.byName) {
      const to = refs.byName.get(name);
      if (!name.startsWith("refs/tags/") || to === undefined || to === from) continue;
      events.emit({ type: "tag_moved", repository: url, tag: name.slice("refs/tags/".length), from, to });
    }
  }
}
