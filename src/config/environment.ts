import { adminTokenEnv, configFileEnv, privateEnv, type Section, sumdbKeyEnv } from "./settings.ts";
import { nearest } from "./suggest.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

// Kubernetes gives every pod variables named after the services of its namespace, so a service called sluice makes
// SLUICE_SERVICE_HOST, SLUICE_PORT=tcp://…, SLUICE_PORT_3000_TCP_ADDR and the like.
const kubernetesName =
  /^SLUICE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const kubernetesPort = /^SLUICE_([A-Z0-9_]+_)?PORT$/;

/** Go's habit: an empty variable is as good as none. */
export function readVariable(environment: Environment, name: string): string | undefined {
  const value = environment[name];
  return value === "" ? undefined : value;
}

/** A sentence for every `SLUICE_…` variable that no setting reads. Never its value. */
export function unknownVariables(environment: Environment, sections: readonly Section[]): string[] {
  const known = new Set([
    adminTokenEnv,
    configFileEnv,
    privateEnv,
    sumdbKeyEnv,
    ...sections.flatMap(({ settings }) => settings.flatMap(({ envNames }) => envNames)),
  ]);
  const unknown = Object.keys(environment).filter(
    (name) =>
      name.startsWith("SLUICE_") &&
      !name.startsWith("SLUICE_TEST_") &&
      !known.has(name) &&
      readVariable(environment, name) !== undefined &&
      !isFromKubernetes(name, environment[name] ?? ""),
  );
  return unknown.sort().map((name) => {
    const suggestion = nearest(name, known) ?? nearestSynonym(name, sections);
    return `${name} in the environment is no setting of Sluice; ${suggestion === undefined ? "unset it" : `did you mean ${suggestion}?`}`;
  });
}

function isFromKubernetes(name: string, value: string): boolean {
  return kubernetesName.test(name) || (kubernetesPort.test(name) && /^(tcp|udp|sctp):\/\//.test(value));
}

function nearestSynonym(name: string, sections: readonly Section[]): string | undefined {
  const word = name.replace(/^SLUICE_/, "").toLowerCase();
  return sections.flatMap(({ settings }) => settings).find(({ synonyms }) => synonyms?.includes(word))?.envNames[0];
}
