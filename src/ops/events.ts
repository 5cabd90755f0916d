import type { Logger } from "pino";
import type { Events, SluiceEvent } from "../core/ports.ts";
import { countEvent, type Metrics } from "./metrics.ts";

/** Turns events into log lines for people and numbers for machines. */
export function createEvents(logger: Logger, metrics: Metrics): Events {
  return {
    emit(event) {
      countEvent(metrics, event);
      logEvent(logger, event);
    },
  };
}

function logEvent(logger: Logger, event: SluiceEvent): void {
  const { type, ...facts } = event;
  switch (type) {
    case "file_corrupt":
      logger.error({ event: type, ...facts }, "a stored file is broken; it is set aside and fetched again");
      return;
    case "store_failed":
      logger.error(
        { event: type, ...facts, error: messageOf(event) },
        "the store failed; answers go on from memory and upstreams",
      );
      return;
    case "integrity_failed":
      logger.error({ event: type, ...facts }, "a source sent a file that does not verify; it was refused");
      return;
    case "upstream_attempt":
      if (event.outcome === "ok" || event.outcome === "not_found")
        logger.debug({ event: type, ...facts }, "upstream answered");
      else logger.warn({ event: type, ...facts, error: messageOf(event) }, "upstream attempt failed");
      return;
    case "git_mirror_damaged":
      logger.error({ event: type, ...facts }, "a git mirror is damaged; it is set aside and fetched anew");
      return;
    case "git_fetch_too_large":
      logger.warn({ event: type, ...facts }, "a git fetch is ended: it is larger than max_fetch_size of [git] allows");
      return;
    case "git_mirror_removed":
      logger.info({ event: type, ...facts }, "a git mirror is removed; what was stored of it stays");
      return;
    case "fetch_resumed":
      logger.info({ event: type, ...facts }, "a transfer that broke off is gone on with");
      return;
    case "tag_moved":
      logger.warn({ event: type, ...facts }, "a tag was moved to another commit; served versions stay what they are");
      return;
    case "git_fetch":
      // What was fetched ahead is for nobody yet, and may be given up for somebody.
      if (event.outcome === "ok" || event.outcome === "not_found" || event.kind === "ahead")
        logger.debug({ event: type, ...facts }, type);
      else logger.warn({ event: type, ...facts }, "a git fetch failed");
      return;
    case "file_stored":
    case "fetch_started":
    case "fetch_ended":
    case "upstream_queue":
      logger.debug({ event: type, ...facts }, type);
  }
}

function messageOf(event: SluiceEvent): string | undefined {
  return "error" in event ? event.error?.message : undefined;
}
