import { setTimeout as delay } from "node:timers/promises";

/** As `vi.waitFor`, for what also runs outside of vitest (`npm run chaos`): tries until it does not throw. */
export async function waitFor<T>(
  check: () => T | Promise<T>,
  { timeout, interval = 50 }: { readonly timeout: number; readonly interval?: number },
): Promise<T> {
  const endsAt = performance.now() + timeout;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > endsAt) throw error;
    }
    await delay(interval);
  }
}
