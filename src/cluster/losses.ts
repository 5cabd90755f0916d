import type { Child } from "./child.ts";
import type { ProcessNews } from "./control.ts";

/** Of what nobody could be told yet. An engine that does not start leaves this much to the next. */
const maxUntold = 100;

/** Which processes were lost and came back, for the engine: it follows incidents, and may be the one that was lost. */
export class Losses {
  /** The first loss of each process that is not back yet. */
  readonly #open = new Map<string, ProcessNews>();
  #untold: ProcessNews[] = [];

  /** `engine`: the one that does its work now. */
  note(news: ProcessNews, engine: Pick<Child, "send"> | undefined): void {
    const lost = this.#open.get(news.process);
    if (news.type === "process_back") this.#open.delete(news.process);
    else if (lost === undefined) this.#open.set(news.process, news);
    if (engine !== undefined) return engine.send({ sluice: "process", news });
    if (news.type !== "process_back" || lost === undefined) return;
    this.#untold = [...this.#untold, lost, news].slice(-maxUntold);
  }

  /** A new engine knows nothing: not of what went wrong without one, and not of what is still wrong. */
  tellAll(engine: Pick<Child, "send">): void {
    for (const news of [...this.#untold, ...this.#open.values()]) engine.send({ sluice: "process", news });
    this.#untold = [];
  }
}
