import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { freePort, startServer } from "../server-process.ts";
import type { Peer } from "./peer.ts";

/** nginx as a static web server of the same files: one worker, sendfile, one line per request in a log. */
export const nginx: Peer = {
  name: "nginx",
  isProxy: false,
  async prepare() {
    const { error } = spawnSync("nginx", ["-v"], { stdio: "ignore" });
    return error === undefined ? undefined : "nginx is not installed (apt-get install nginx)";
  },
  async start({ folder, tree }) {
    const url = new URL(`http://127.0.0.1:${await freePort()}`);
    const file = path.join(folder, "nginx.conf");
    writeFileSync(file, configuration({ listen: url.host, folder, tree }));
    const server = await startServer({
      command: ["nginx", "-p", folder, "-e", path.join(folder, "error.log"), "-c", file],
      env: {},
      folder,
      probe: new URL("/healthz", url),
    });
    return { name: "nginx", url, ...server };
  },
};

/** The log is written in blocks, as Sluice writes its own: a system call per line would slow nginx alone. */
function configuration({ listen, folder, tree }: { listen: string; folder: string; tree: string }): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `${process.getuid?.() === 0 ? "user root;\n" : ""}daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 4096; }
http {
${temporary.map((name) => `  ${name}_temp_path ${folder}/${name};`).join("\n")}
  access_log ${folder}/access.log combined buffer=64k flush=1s;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  types { application/json info; text/plain mod; application/zip zip; }
  default_type text/plain;
  server {
    listen ${listen} backlog=4096;
    root ${tree};
    location = /healthz { return 200; }
  }
}
`;
}
