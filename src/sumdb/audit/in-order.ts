/** Runs `work` on items as they come, at most `width` at the same time, and gives the results in the order of the items. */
export async function* inOrder<T, R>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  for (const item of items) {
    const started = work(item);
    // Whoever waits for it hears of a failure; what is not waited for any more has none.
    started.catch(() => undefined);
    running.push(started);
    if (running.length >= width) yield* first(running);
  }
  while (running.length > 0) yield* first(running);
}

async function* first<R>(running: Promise<R>[]): AsyncGenerator<R> {
  const [oldest] = running.splice(0, 1);
  if (oldest !== undefined) yield await oldest;
}
