// Compiles with `tsc --strict` against version 10 of tRPC: every procedure but subscriptions, with all types.
import { createTRPCProxyClient, httpBatchLink, TRPCClientError } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";

import { errorData, fieldErrors } from "@gastown/client/v10";
import type { AppRouter, ErrorReason, EventPage, Operation, Town, TownStatusReport, TownSummary } from "@gastown/client/v10";

const { GASTOWN_URL, GASTOWN_TOKEN } = process.env;
const { gastown } = createTRPCProxyClient<AppRouter>({
  links: [httpBatchLink({ url: `${GASTOWN_URL}/trpc`, headers: { authorization: `Bearer ${GASTOWN_TOKEN}` } })],
});

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;
const same = <A, B>(_: Same<A, B>) => undefined;

type Inputs = inferRouterInputs<AppRouter>["gastown"];
type Outputs = inferRouterOutputs<AppRouter>["gastown"];
same<Outputs["createTown"], Town>(true);
same<Outputs["listTowns"], TownSummary[]>(true);
same<Outputs["getTownStatus"], TownStatusReport>(true);
same<Outputs["listEvents"], EventPage>(true);
same<Town["operation"], Operation | null>(true);
same<Inputs["destroyTown"]["waitUntilGone"], boolean | undefined>(true);
same<keyof Inputs["addRig"], "townId" | "rigName" | "repoUrl" | "branch" | "config">(true);

/** Returns the text of an error. The reasons are known words. */
function textOf(error: unknown): string {
  if (!(error instanceof TRPCClientError)) return errorData(error)?.reason ?? "another error";
  const known = error as TRPCClientError<AppRouter>;
  const reason: ErrorReason | undefined = known.data?.reason;
  return `${reason} ${fieldErrors(error).townName?.join() ?? ""}`.trim();
}

const { townId, configVersion } = await gastown.createTown.mutate({ townName: "tower", config: { theme: "dark" } });
const { rigId } = await gastown.addRig.mutate({ townId, rigName: "app", repoUrl: "https://github.com/acme/app" });
const { config } = await gastown.updateTown.mutate({ townId, configVersion, config: { max_polecats: 4 } });
const rig = await gastown.getRig.query({ townId, rigId });
console.log(`${rig.rigName} at ${config.max_polecats} and ${config["theme"]}`);
await gastown.removeRig.mutate({ townId, rigId });
const stopped = await gastown.stopTown.mutate({ townId });
console.log(stopped.operation === null ? stopped.status : stopped.operation.kind);
await gastown.startTown.mutate({ townId });
const [towns, page, { rigs }, { events }, regions] = await Promise.all([
  gastown.listTowns.query(),
  gastown.listTowns.query({ limit: 10 }),
  gastown.getTownStatus.query({ townId }),
  gastown.listEvents.query({ townId }),
  gastown.listRegions.query(),
]);
console.log(towns.length, page.length, rigs.length, events.length > 0, regions[0]?.region);
console.log(await gastown.createTown.mutate({ townName: "tower" }).catch(textOf));
console.log(await gastown.createTown.mutate({ townName: "" }).catch(textOf));
console.log((await gastown.destroyTown.mutate({ townId, waitUntilGone: true })).status);
