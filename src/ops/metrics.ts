import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { PartHealth } from "../core/health.ts";
import type { SluiceEvent } from "../core/events.ts";
import { isStoreRefusal } from "../core/store-refusal.ts";
import { healingRules } from "./healing-rules.ts";

export type Metrics = ReturnType<typeof createMetrics>;

const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const partStates: Readonly<Record<PartHealth["state"], number>> = { ok: 1, degraded: 0.5, down: 0 };

export interface MetricsOptions {
  readonly version: string;
  readonly fetching: () => number;
  /** Stored files that no checksum database has confirmed; undefined when that cannot be told now. */
  readonly unverified: () => Promise<number | undefined>;
  readonly health: () => Promise<readonly PartHealth[]>;
}

/** Everything `/metrics` shows. Labels are few and bounded: never a module path, never a client. */
export function createMetrics(options: MetricsOptions) {
  const registers = [new Registry()] as const;
  const [registry] = registers;
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: "sluice_build_info",
    help: "The running version, as a label.",
    labelNames: ["version"],
    registers: [registry],
    aggregator: "first",
  })
    .labels(options.version)
    .set(1);
  const incidentsOpen = new Gauge({
    name: "sluice_incidents_open",
    help: "What is wrong now, by the rule of docs/runbook.md that follows it.",
    labelNames: ["rule"],
    registers: [registry],
  });
  for (const { name } of healingRules) incidentsOpen.labels(name).set(0);
  return {
    registry,
    incidentsOpen,
    drillRunning: new Gauge({
      name: "sluice_drill_running",
      help: "1 while something is broken on purpose, or was and is not well again.",
      registers: [registry],
    }),
    incidents: new Counter({
      name: "sluice_incidents_total",
      help: "Incidents that ended by rule and outcome: healed, or stopped where Sluice ended before.",
      labelNames: ["rule", "outcome"],
      registers: [registry],
    }),
    recoverySeconds: new Histogram({
      name: "sluice_recovery_seconds",
      help: "From the first sign of an incident until a check said that it was over, by rule.",
      labelNames: ["rule"],
      buckets: [0.1, 1, 5, 10, 30, 60, 300, 600, 3600, 21_600, 86_400],
      registers: [registry],
    }),
    fetching: new Gauge({
      name: "sluice_fetches_in_flight",
      help: "Files and records being fetched from sources now.",
      registers: [registry],
      collect() {
        this.set(options.fetching());
      },
    }),
    requests: new Counter({
      name: "sluice_requests_total",
      help: "Answered requests by kind (list, info, mod, zip, …), HTTP status and cache state.",
      labelNames: ["kind", "status", "cache"],
      registers: [registry],
    }),
    requestSeconds: new Histogram({
      name: "sluice_request_duration_seconds",
      help: "From the request's head to the last byte handed to the operating system.",
      labelNames: ["kind", "cache"],
      buckets: secondsBuckets,
      registers: [registry],
    }),
    responseBytes: new Counter({
      name: "sluice_response_bytes_total",
      help: "Body bytes sent to clients.",
      labelNames: ["kind"],
      registers: [registry],
    }),
    upstreamAttempts: new Counter({
      name: "sluice_upstream_attempts_total",
      help: "Requests to upstreams, every retry counted, by outcome: ok or an error code.",
      labelNames: ["upstream", "outcome"],
      registers: [registry],
    }),
    gitFetches: new Counter({
      name: "sluice_git_fetches_total",
      help: "Looks at git hosts by what was fetched (refs, tips, history, ahead) and outcome: ok or an error code.",
      labelNames: ["kind", "outcome"],
      registers: [registry],
    }),
    gitAlarms: new Counter({
      name: "sluice_git_alarms_total",
      help: "Tags that were moved after a version was served, mirrors that were found damaged, and fetches that were too large.",
      labelNames: ["type"],
      registers: [registry],
    }),
    upstreamFirstByteSeconds: new Histogram({
      name: "sluice_upstream_first_byte_seconds",
      help: "Until an upstream's response began.",
      labelNames: ["upstream"],
      buckets: secondsBuckets,
      registers: [registry],
    }),
    upstreamQueue: new Gauge({
      name: "sluice_upstream_queue",
      help: "Fetches per upstream that run or wait for their turn.",
      labelNames: ["upstream", "state"],
      registers: [registry],
    }),
    upstreamLimit: new Gauge({
      name: "sluice_upstream_concurrency_limit",
      help: "Requests that may be under way at an upstream now; less than configured while it has too much to do or is just back.",
      labelNames: ["upstream"],
      registers: [registry],
    }),
    upstreamChecks: new Counter({
      name: "sluice_upstream_checks_total",
      help: "Times an upstream was asked whether it is there, as its requests did not tell, by outcome: ok or an error code.",
      labelNames: ["upstream", "outcome"],
      registers: [registry],
    }),
    upstreamHedges: new Counter({
      name: "sluice_upstream_hedges_total",
      help: "Answers of upstreams that were late or paused, by outcome, and by who was asked as well: the same upstream, or the next of its group. Asked for twice: won (that answer counted), lost (another one did), failed (it was none), resumed (the rest of one that paused). Waited for: slow (most answers are late), capped (`upstream.hedge` was used up).",
      labelNames: ["upstream", "to", "outcome"],
      registers: [registry],
    }),
    upstreamChanges: new Counter({
      name: "sluice_upstream_state_changes_total",
      help: "How often an upstream became ok, degraded or down. What it is now is in sluice_part_state.",
      labelNames: ["upstream", "state"],
      registers: [registry],
    }),
    fetches: new Counter({
      name: "sluice_fetches_total",
      help: "Ended fetches, all attempts and sources together, by outcome: ok or an error code.",
      labelNames: ["outcome"],
      registers: [registry],
    }),
    resumedBytes: new Counter({
      name: "sluice_fetch_resumed_bytes_total",
      help: "Bytes that were not sent again, because transfers that broke off were gone on with, by who sent the rest.",
      labelNames: ["source"],
      registers: [registry],
    }),
    workShed: new Counter({
      name: "sluice_work_shed_total",
      help: "Work that was refused because there was too much to do, by class: background, cold_git, cold_file, revalidation, hit.",
      labelNames: ["class"],
      registers: [registry],
    }),
    purges: new Counter({
      name: "sluice_purges_total",
      help: "Purges by who wanted them: an operator of this node, or the fleet.",
      labelNames: ["by"],
      registers: [registry],
    }),
    storedFiles: new Counter({
      name: "sluice_stored_files_total",
      help: "Immutable files kept.",
      registers: [registry],
    }),
    storedBytes: new Counter({
      name: "sluice_stored_bytes_total",
      help: "Bytes of immutable files kept.",
      registers: [registry],
    }),
    corruptFiles: new Counter({
      name: "sluice_corrupt_files_total",
      help: "Stored files found broken, set aside and fetched again.",
      registers: [registry],
    }),
    heals: new Counter({
      name: "sluice_heals_total",
      help: "Attempts to fetch files again that a scrub found broken, by outcome: healed or an error code.",
      labelNames: ["outcome"],
      registers: [registry],
    }),
    healSeconds: new Histogram({
      name: "sluice_heal_duration_seconds",
      help: "From the moment a scrub found a file broken until a good one stood there.",
      buckets: [0.1, 1, 10, 60, 600, 3600, 86_400],
      registers: [registry],
    }),
    scrubbedFiles: new Counter({
      name: "sluice_scrubbed_files_total",
      help: "Files that ended scrubs have read, by state: sound or broken.",
      labelNames: ["state"],
      registers: [registry],
    }),
    scrubEnded: new Gauge({
      name: "sluice_scrub_ended_timestamp_seconds",
      help: "When all of the store had been read once, as a Unix time.",
      registers: [registry],
    }),
    collectedBytes: new Counter({
      name: "sluice_collected_bytes_total",
      help: "Bytes of stored files that were removed to keep the store within its size.",
      registers: [registry],
    }),
    integrityFailures: new Counter({
      name: "sluice_integrity_failures_total",
      help: "Files from a source that failed verification and were refused.",
      labelNames: ["source"],
      registers: [registry],
    }),
    ledgerConflicts: new Counter({
      name: "sluice_ledger_conflicts_total",
      help: "Files of this node that were set aside, because another node was first with another content.",
      registers: [registry],
    }),
    sumChecks: new Counter({
      name: "sluice_sumdb_checks_total",
      help: "Files compared with a checksum database by outcome: verified, unverified, mismatch or refused.",
      labelNames: ["database", "outcome"],
      registers: [registry],
    }),
    sumRequests: new Counter({
      name: "sluice_sumdb_requests_total",
      help: "Requests to checksum databases by kind (lookup, tile, latest, supported) and outcome: ok or an error code.",
      labelNames: ["database", "kind", "outcome"],
      registers: [registry],
    }),
    sumInvalid: new Counter({
      name: "sluice_sumdb_invalid_total",
      help: "Answers of checksum databases that are not signed by them or do not belong to their tree.",
      labelNames: ["database"],
      registers: [registry],
    }),
    sumForked: new Gauge({
      name: "sluice_sumdb_forked",
      help: "1 when a checksum database has shown two histories, so that nothing is verified with it.",
      labelNames: ["database"],
      registers: [registry],
    }),
    sumLogRecords: new Gauge({
      name: "sluice_sumdb_log_records",
      help: "Records in our own checksum database.",
      labelNames: ["log"],
      registers: [registry],
    }),
    unverifiedFiles: new Gauge({
      name: "sluice_unverified_files",
      help: "Stored files that no checksum database has confirmed.",
      registers: [registry],
      async collect() {
        const files = await options.unverified();
        if (files !== undefined) this.set(files);
      },
    }),
    fleetMessages: new Counter({
      name: "sluice_fleet_messages_total",
      help: "Messages to and from other nodes and processes by type, way (redis, processes) and direction: out, in or dropped.",
      labelNames: ["via", "direction", "type"],
      registers: [registry],
    }),
    partState: new Gauge({
      name: "sluice_part_state",
      help: "How each part of this node is: 1 works, 0.5 with less than it should have, 0 is down.",
      labelNames: ["part"],
      registers: [registry],
      async collect() {
        this.reset();
        for (const { part, state } of await options.health()) this.labels(part).set(partStates[state]);
      },
    }),
    lostProcesses: new Counter({
      name: "sluice_processes_lost_total",
      help: "Processes of a Sluice with workers that ended unasked and were replaced, by role: engine or front.",
      labelNames: ["role"],
      registers: [registry],
    }),
    refusedOperators: new Counter({
      name: "sluice_operator_refusals_total",
      help: "Requests to the API below /-/ without the admin token or with a wrong one, by what they showed.",
      labelNames: ["shown"],
      registers: [registry],
    }),
    configReloads: new Counter({
      name: "sluice_config_reloads_total",
      help: "Configurations that were read while Sluice ran, by outcome: applied or refused.",
      labelNames: ["outcome"],
      registers: [registry],
    }),
    bucketUp: new Gauge({
      name: "sluice_bucket_up",
      help: "1 while the bucket behind the disk can be asked.",
      labelNames: ["bucket"],
      registers: [registry],
    }),
    bucketConflicts: new Counter({
      name: "sluice_bucket_conflicts_total",
      help: "Files of which another node had put another one into the bucket before: theirs is served.",
      registers: [registry],
    }),
    outboxFiles: new Gauge({
      name: "sluice_outbox_files",
      help: "Files and records on this disk that the bucket does not have yet.",
      registers: [registry],
    }),
    outboxOldestSeconds: new Gauge({
      name: "sluice_outbox_oldest_timestamp_seconds",
      help: "When that which waits in the outbox for longest came there, in seconds since the epoch; 0 when nothing waits.",
      registers: [registry],
    }),
    evictedFiles: new Counter({
      name: "sluice_disk_cache_evicted_files_total",
      help: "Files that left the disk cache, as the bucket has them, by why: quota or space.",
      labelNames: ["reason"],
      registers: [registry],
    }),
    evictedBytes: new Counter({
      name: "sluice_disk_cache_evicted_bytes_total",
      help: "Bytes that left the disk cache, as the bucket has them, by why: quota or space.",
      labelNames: ["reason"],
      registers: [registry],
    }),
    leases: new Counter({
      name: "sluice_leases_total",
      help: "Fetches shared with other nodes by outcome: worked (here), found (done elsewhere), lost (taken over), or here whoever else did it: alone, overdue, failed.",
      labelNames: ["outcome"],
      registers: [registry],
    }),
    leaseWaitSeconds: new Histogram({
      name: "sluice_lease_wait_seconds",
      help: "How long fetches waited for other nodes.",
      labelNames: ["outcome"],
      buckets: secondsBuckets,
      registers: [registry],
    }),
    belowReserve: new Gauge({
      name: "sluice_disk_below_reserve",
      help: "1 while less is free on the disk than `reserve` of [store], so that new files are passed on and not kept.",
      registers: [registry],
    }),
    storeRefusals: new Counter({
      name: "sluice_store_refusals_total",
      help: "Writes of files that were not begun, so that the reserve of the disk stays free.",
      registers: [registry],
    }),
    storeFailures: new Counter({
      name: "sluice_store_failures_total",
      help: "Operations of the store that failed (disk full, no permission, I/O error).",
      labelNames: ["store", "operation"],
      registers: [registry],
    }),
  };
}

/** Counts what an event says. */
export function countEvent(metrics: Metrics, event: SluiceEvent): void {
  switch (event.type) {
    case "file_stored":
      metrics.storedFiles.inc();
      metrics.storedBytes.inc(event.size);
      return;
    case "file_corrupt":
      metrics.corruptFiles.inc();
      return;
    case "file_healed":
      metrics.heals.labels(event.outcome).inc();
      if (event.outcome === "healed") metrics.healSeconds.observe(event.durationMs / 1000);
      return;
    case "scrub_ended":
      metrics.scrubbedFiles.labels("sound").inc(event.files - event.broken);
      metrics.scrubbedFiles.labels("broken").inc(event.broken);
      metrics.scrubEnded.setToCurrentTime();
      return;
    case "store_collected":
      metrics.collectedBytes.inc(event.bytes);
      return;
    case "integrity_failed":
      metrics.integrityFailures.labels(event.source).inc();
      return;
    case "disk_space":
      metrics.belowReserve.set(event.state === "low" ? 1 : 0);
      return;
    case "store_failed":
      if (isStoreRefusal(event.error)) metrics.storeRefusals.inc();
      else metrics.storeFailures.labels(event.store, event.operation).inc();
      return;
    case "bucket_state":
      metrics.bucketUp.labels(event.bucket).set(event.state === "ok" ? 1 : 0);
      return;
    case "bucket_conflict":
      metrics.bucketConflicts.inc();
      return;
    case "outbox":
      metrics.outboxFiles.set(event.waiting);
      metrics.outboxOldestSeconds.set((event.oldestAt ?? 0) / 1000);
      return;
    case "cache_evicted":
      metrics.evictedFiles.labels(event.reason).inc(event.files);
      metrics.evictedBytes.labels(event.reason).inc(event.bytes);
      return;
    case "ledger_conflict":
      metrics.ledgerConflicts.inc();
      return;
    case "database_state":
    case "ledger_caught_up":
    case "fetch_started":
    case "git_mirror_removed":
      return;
    case "fetch_resumed":
      metrics.resumedBytes.labels(event.source).inc(event.bytes);
      return;
    case "work_shed":
      metrics.workShed.labels(event.work).inc();
      return;
    case "drill_started":
      metrics.drillRunning.set(1);
      return;
    case "drill_ended":
      metrics.drillRunning.set(0);
      return;
    case "incident_opened":
      metrics.incidentsOpen.labels(event.incident.rule).inc();
      return;
    case "incident_ended": {
      const { rule, outcome, durationMs } = event.incident;
      metrics.incidentsOpen.labels(rule).dec();
      metrics.incidents.labels(rule, outcome).inc();
      if (outcome === "healed") metrics.recoverySeconds.labels(rule).observe(durationMs / 1000);
      return;
    }
    case "purged":
      metrics.purges.labels(event.by).inc();
      return;
    case "fetch_ended":
      metrics.fetches.labels(event.outcome).inc();
      return;
    case "upstream_attempt":
      metrics.upstreamAttempts.labels(event.upstream, event.outcome).inc();
      if (event.firstByteMs !== undefined)
        metrics.upstreamFirstByteSeconds.labels(event.upstream).observe(event.firstByteMs / 1000);
      return;
    case "upstream_hedge":
      metrics.upstreamHedges.labels(event.upstream, event.to, event.outcome).inc();
      return;
    case "upstream_check":
      metrics.upstreamChecks.labels(event.upstream, event.outcome).inc();
      return;
    case "upstream_state":
      metrics.upstreamChanges.labels(event.upstream, event.state).inc();
      return;
    case "git_fetch":
      metrics.gitFetches.labels(event.kind, event.outcome).inc();
      return;
    case "git_mirror_damaged":
    case "git_fetch_too_large":
    case "tag_moved":
      metrics.gitAlarms.labels(event.type).inc();
      return;
    case "sum_checked":
      metrics.sumChecks.labels(event.database, event.outcome).inc();
      return;
    case "sum_recheck":
      return;
    case "sum_request":
      metrics.sumRequests.labels(event.database, event.kind, event.outcome).inc();
      return;
    case "sum_invalid":
      metrics.sumInvalid.labels(event.database).inc();
      return;
    case "sum_fork":
      metrics.sumForked.labels(event.database).set(1);
      return;
    case "sum_appended":
      metrics.sumLogRecords.labels(event.log).set(event.size);
      return;
    case "fleet_message":
      metrics.fleetMessages.labels(event.via, event.direction, event.kind).inc();
      return;
    case "process_lost":
      metrics.lostProcesses.labels(event.role).inc();
      return;
    case "operator_refused":
      metrics.refusedOperators.labels(event.shown).inc();
      return;
    case "config_reloaded":
      metrics.configReloads.labels("applied").inc();
      return;
    case "config_refused":
      metrics.configReloads.labels("refused").inc();
      return;
    case "redis_state":
    case "process_back":
      return;
    case "lease":
      metrics.leases.labels(event.outcome).inc();
      metrics.leaseWaitSeconds.labels(event.outcome).observe(event.waitedMs / 1000);
      return;
    case "lease_lost":
      metrics.leases.labels("lost").inc();
      return;
    case "upstream_queue":
      metrics.upstreamLimit.labels(event.upstream).set(event.limit);
      metrics.upstreamQueue.labels(event.upstream, "running").set(event.running);
      metrics.upstreamQueue.labels(event.upstream, "waiting").set(event.waiting);
  }
}
