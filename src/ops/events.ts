import type { Logger } from "pino";
import type { Events, SluiceEvent } from "../core/events.ts";
import { isStoreRefusal } from "../core/store-refusal.ts";
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
    case "file_healed":
      if (event.outcome === "healed") logger.warn({ event: type, ...facts }, "a file that was broken is good again");
      else
        logger.error({ event: type, ...facts }, "a broken file cannot be fetched again now; it is tried again later");
      return;
    case "scrub_ended":
      logger.info({ event: type, ...facts }, "every file of the store was read and compared");
      return;
    case "store_collected":
      logger.info({ event: type, ...facts }, "files were removed to make room (max_size and reserve of [store])");
      return;
    case "disk_space":
      if (event.state === "ok")
        logger.info({ event: type, ...facts }, "there is space on the disk again; files are kept");
      else
        logger.error(
          { event: type, ...facts },
          "the disk is nearly full: new files are passed on and not kept, and what is stored is served",
        );
      return;
    case "store_failed":
      if (isStoreRefusal(event.error)) {
        logger.debug(
          { event: type, ...facts, error: messageOf(event) },
          "a file is not kept, as the disk is nearly full",
        );
        return;
      }
      logger.error(
        { event: type, ...facts, error: messageOf(event) },
        "the store failed; answers go on from memory and upstreams",
      );
      return;
    case "database_state":
      if (event.state === "up") logger.info({ event: type, ...facts }, "the database answers again");
      else logger.error({ event: type, ...facts }, "the database is not there; this node goes on by itself");
      return;
    case "ledger_caught_up":
      logger.info({ event: type, ...facts }, "what waited for the shared ledger is written");
      return;
    case "ledger_conflict":
      logger.error(
        { event: type, ...facts },
        "another node was first with another content of a file; ours is set aside, and theirs stands",
      );
      return;
    case "bucket_state":
    case "bucket_conflict":
    case "outbox":
    case "cache_evicted":
      logBucketEvent(logger, event);
      return;
    case "integrity_failed":
      logger.error({ event: type, ...facts }, "a source sent a file that does not verify; it was refused");
      return;
    case "upstream_attempt":
      if (event.outcome === "ok" || event.outcome === "not_found")
        logger.debug({ event: type, ...facts }, "upstream answered");
      else logger.warn({ event: type, ...facts, error: messageOf(event) }, "upstream attempt failed");
      return;
    case "upstream_state":
      if (event.state === "ok") logger.info({ event: type, ...facts }, "an upstream is well again");
      else if (event.state === "degraded")
        logger.warn({ event: type, ...facts }, "an upstream is not as it should be; it is used all the same");
      else
        logger.error(
          { event: type, ...facts },
          "an upstream is down; it is asked again every few seconds, and what is stored is served",
        );
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
    case "sum_checked":
    case "sum_recheck":
    case "sum_request":
    case "sum_fork":
    case "sum_invalid":
    case "sum_appended":
      logSumEvent(logger, event);
      return;
    case "work_shed":
      if (event.isNews) logger.warn({ event: type, ...facts }, "there is too much to do: less urgent work is refused");
      else logger.debug({ event: type, ...facts }, "work is refused");
      return;
    case "drill_started":
      logger.warn({ event: type, ...facts }, "a drill: from now on something is broken on purpose");
      return;
    case "drill_ended":
      logger.warn({ event: type, ...event.report }, "a drill has ended");
      return;
    case "incident_opened":
      logger.warn({ event: type, ...event.incident }, "an incident begins; Sluice sees to it");
      return;
    case "incident_ended":
      if (event.incident.outcome === "healed") logger.info({ event: type, ...event.incident }, "an incident is over");
      else logger.warn({ event: type, ...event.incident }, "Sluice ends while an incident is not over");
      return;
    case "operator_refused":
      if (event.isNews) logger.warn({ event: type, ...facts }, "a request to the operators' API is refused");
      else logger.debug({ event: type, ...facts }, "a request to the operators' API is refused");
      return;
    case "purged":
      logger.info({ event: type, ...facts }, "answers are purged; they are asked for anew");
      return;
    case "process_lost":
      logger.error({ event: type, ...facts }, "a process of this Sluice was lost; another one takes its place");
      return;
    case "process_back":
      logger.info({ event: type, ...facts }, "a process answers that took the place of a lost one");
      return;
    case "config_reloaded":
      if (event.needRestart.length === 0) logger.info({ event: type }, "the new configuration counts");
      else
        logger.warn(
          { event: type, ...facts },
          "the new configuration counts, but for the settings that take a restart; they keep their old value",
        );
      return;
    case "config_refused":
      logger.error(
        { event: type, error: messageOf(event) },
        "the new configuration is refused, and the one before still counts",
      );
      return;
    case "redis_state":
      if (event.isUp) logger.info({ event: type, ...facts }, "connected to Redis");
      else logger.warn({ event: type, ...facts }, "Redis cannot be used; this node goes on by itself and tries again");
      return;
    case "lease_lost":
      logger.info({ event: type, ...facts }, "another node took over a fetch that is under way here");
      return;
    case "file_stored":
    case "fetch_started":
    case "fetch_ended":
    case "upstream_queue":
    case "upstream_check":
    case "upstream_hedge":
    case "fleet_message":
    case "lease":
      logger.debug({ event: type, ...facts }, type);
  }
}

function logBucketEvent(
  logger: Logger,
  event: Extract<SluiceEvent, { readonly type: `bucket_${string}` | "outbox" | "cache_evicted" }>,
): void {
  const { type, ...facts } = event;
  switch (type) {
    case "bucket_state":
      if (event.state === "ok") logger.info({ event: type, ...facts }, "the bucket is well again");
      else
        logger.error(
          { event: type, ...facts },
          "the bucket cannot be asked; answers go on from disk and upstreams, and what is new waits in the outbox",
        );
      return;
    case "bucket_conflict":
      logger.error(
        { event: type, ...facts },
        "another node was first with another file of this name; ours is set aside, and theirs is served from now on",
      );
      return;
    case "cache_evicted":
      logger.info({ event: type, ...facts }, "files that the bucket has made room on the disk");
      return;
    case "outbox":
      logger.debug({ event: type, ...facts }, type);
  }
}

function logSumEvent(logger: Logger, event: Extract<SluiceEvent, { readonly type: `sum_${string}` }>): void {
  const { type, ...facts } = event;
  switch (type) {
    case "sum_checked":
      if (event.outcome === "verified") logger.debug({ event: type, ...facts }, "a checksum database confirms a file");
      else if (event.outcome === "unverified")
        logger.warn({ event: type, ...facts }, "no checksum database confirms a file yet; it is compared later");
      else logger.error({ event: type, ...facts }, "a file was refused because of its checksum database");
      return;
    case "sum_recheck":
      if (event.outcome === "complete") logger.info({ event: type, ...facts }, "unverified files were compared again");
      else
        logger.warn({ event: type, ...facts }, "unverified files cannot be compared now; they are tried again later");
      return;
    case "sum_request":
      if (event.outcome === "ok" || event.outcome === "not_found") logger.debug({ event: type, ...facts }, type);
      else logger.warn({ event: type, ...facts }, "a checksum database did not answer");
      return;
    case "sum_fork":
      logger.error(
        { event: type, ...facts },
        "a checksum database has shown two histories; nothing is verified with it until an operator decides: see `sluice sumdb status`",
      );
      return;
    case "sum_invalid":
      logger.error(
        { event: type, ...facts },
        "what was sent for a checksum database is not signed by it; it was refused",
      );
      return;
    case "sum_appended":
      logger.debug({ event: type, ...facts }, "our own checksum database has grown");
  }
}

function messageOf(event: SluiceEvent): string | undefined {
  return "error" in event ? event.error?.message : undefined;
}
