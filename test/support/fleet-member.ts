import { createInterface } from "node:readline";
import type { FleetMessage } from "../../src/core/fleet.ts";
import { createProcessMessages } from "../../src/fleet/process-messages.ts";

// A child process that is told by lines on stdin what to publish, and tells by lines on stdout what it hears.

const messages = createProcessMessages(process, { name: "parent", events: { emit: () => undefined } });
messages.subscribe((message) => console.log(JSON.stringify(message)));
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const message: FleetMessage = JSON.parse(line);
    messages.publish(message);
  })
  .on("close", () => process.channel?.unref());
console.log("ready");
