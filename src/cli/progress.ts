/** How far a long command is. */
export interface Progress {
  update(done: number, total: number): void;
  stop(): void;
}

/** Standard error, or what stands for it. */
interface Terminal extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
}

const lineEveryMs = 5000;

/** A bar on a terminal, else a line every few seconds. `unit` is what is counted, such as `records`. */
export async function startProgress(stream: Terminal, unit: string, now: () => number = Date.now): Promise<Progress> {
  return stream.isTTY === true ? startBar(stream, unit) : startLines(stream, unit, now);
}

async function startBar(stream: Terminal, unit: string): Promise<Progress> {
  const { default: progress } = await import("cli-progress");
  const bar = new progress.SingleBar({
    stream,
    format: `{bar} {percentage}% | {value} of {total} ${unit} | {eta_formatted} left`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
  });
  bar.start(0, 0);
  return {
    update(done, total) {
      bar.setTotal(total);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}

function startLines(stream: Terminal, unit: string, now: () => number): Progress {
  let lastAt = now();
  return {
    update(done, total) {
      if (now() - lastAt < lineEveryMs) return;
      lastAt = now();
      stream.write(`${done} of ${total} ${unit}\n`);
    },
    stop: () => undefined,
  };
}
