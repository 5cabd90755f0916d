import type { OfflineSwitch } from "../core/offline.ts";
import type { HttpClient } from "./http.ts";

/** Sends nothing while this is offline; what waits for an answer then ends with `offline`. A body that has begun may end. */
export function withOffline(http: HttpClient, offline: OfflineSwitch): HttpClient {
  return {
    get: (request) => offline.run(request.url.host, request.signal, (signal) => http.get({ ...request, signal })),
    close: () => http.close(),
  };
}
