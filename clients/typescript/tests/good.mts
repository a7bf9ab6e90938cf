// Compiles with `tsc --strict`: every procedure, with the types of its input, its output and its errors.
import { QueryClient } from "@tanstack/react-query";
import { createTRPCClient, httpBatchLink, TRPCClientError } from "@trpc/client";
import type { inferRouterInputs, inferRouterOutputs } from "@trpc/server";
import { createTRPCContext, createTRPCOptionsProxy } from "@trpc/tanstack-react-query";

import { errorData, fieldErrors, reasons } from "@gastown/client";
import type { AppRouter, ChangeKind, ErrorReason, Operation, OperationKind, Town, TownStatus, TownSummary } from "@gastown/client";

const client = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: "http://127.0.0.1/trpc" })] });
const { gastown } = client;

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;
const same = <A, B>(_: Same<A, B>) => undefined;

type Inputs = inferRouterInputs<AppRouter>["gastown"];
type Outputs = inferRouterOutputs<AppRouter>["gastown"];
same<Outputs["createTown"], Town>(true);
same<Outputs["destroyTown"], Town>(true);
same<Outputs["listTowns"], TownSummary[]>(true);
same<Outputs["listEvents"]["events"][number]["cause"], null | { code: string; message: string }>(true);
same<Town["operation"], Operation | null>(true);
same<Town["status"], TownStatus>(true);
same<TownStatus, "provisioning" | "running" | "stopped" | "destroyed">(true);
same<Inputs["destroyTown"]["waitUntilGone"], boolean | undefined>(true);
same<keyof Inputs["addRig"], "townId" | "rigName" | "repoUrl" | "branch" | "config">(true);
same<Outputs["addRig"]["town"], Town>(true);
same<Outputs["removeRig"]["town"], Town>(true);
same<Outputs["getTownStatus"]["lastOutcome"], null | NonNullable<Outputs["getTownStatus"]["lastOutcome"]>>(true);

export async function life(): Promise<string> {
  const config = { max_polecats: 2, models: { mayor: "large" }, rigs: [], theme: "dark" };
  const { townId } = await gastown.createTown.mutate({ townName: "mill", region: "iad", idempotencyKey: "k", config });
  const { rigId, branch } = await gastown.addRig.mutate({ townId, rigName: "app", repoUrl: "https://github.com/a/b" });
  const onBranch: string | null = branch;
  const rig = await gastown.getRig.query({ townId, rigId });
  const kept: unknown = rig.config["anything"];
  const { removed } = await gastown.removeRig.mutate({ townId, rigId, force: removedByForce(kept) });
  const { config: before, configVersion } = await gastown.getTownStatus.query({ townId });
  await gastown.updateTown.mutate({ townId, configVersion, config: { ...before, max_polecats: null, theme: "light" } });
  const stopped = await gastown.stopTown.mutate({ townId });
  if (stopped.operation !== null) return `still at ${stopped.operation.step ?? "the beginning"}`;
  await gastown.startTown.mutate({ townId });
  const { health, lastOutcome, refusedRigs, rigs } = await gastown.getTownStatus.query({ townId });
  const kind: OperationKind | (string & {}) | undefined = lastOutcome?.kind;
  const first = await gastown.listTowns.query();
  const next = await gastown.listTowns.query({ cursor: first.at(-1)?.townId, limit: 10 });
  const { events, nextCursor } = await gastown.listEvents.query({ townId, limit: 10 });
  const history: string = events.map(({ at, message, cause }) => `${at} ${message} ${cause?.message}`).join(nextCursor ?? "");
  const watch = gastown.watchTown.subscribe({ townId }, {
    onData: ({ id, data }) => console.log(id.length, data.change satisfies ChangeKind, data.operation?.stepMessage),
  });
  watch.unsubscribe();
  const list = gastown.watchTowns.subscribe(undefined, {
    onData: ({ data }) => console.log(data.isWhole satisfies boolean, data.towns.map(({ status }) => status), data.gone.join()),
  });
  list.unsubscribe();
  const regions: string[] = (await gastown.listRegions.query()).map(({ region }) => region);
  return [onBranch, removed, kind, health.degraded, refusedRigs.length, rigs.length, next.length, history, regions].join();
}

const removedByForce = (kept: unknown) => kept === undefined;

/** Returns the text of an error. The reasons are known words. */
export function textOf(error: unknown): string {
  if (error instanceof TRPCClientError) {
    const known = error as TRPCClientError<AppRouter>;
    const reason: ErrorReason | undefined = known.data?.reason;
    const path: (string | number)[] | undefined = known.data?.issues?.[0]?.path;
    return `${reason} ${path?.join(".")} ${known.shape?.data.retryAfter}`;
  }
  switch (errorData(error)?.reason) {
    case "town_name_taken":
      return fieldErrors(error).townName?.join() ?? "taken";
    case "operation_in_progress":
      return errorData(error)?.operation ?? "busy";
    default:
      return reasons.join();
  }
}

export const { TRPCProvider, useTRPC, useTRPCClient } = createTRPCContext<AppRouter>();

const trpc = createTRPCOptionsProxy<AppRouter>({ client, queryClient: new QueryClient() });
export const list = trpc.gastown.listTowns.queryOptions();
export const pages = trpc.gastown.listTowns.infiniteQueryOptions(
  { limit: 10 },
  { getNextPageParam: (page) => (page.length < 10 ? undefined : page.at(-1)?.townId) },
);
export const stop = trpc.gastown.stopTown.mutationOptions({ onSuccess: (town) => town.operation?.kind });
export const status = trpc.gastown.getTownStatus.queryOptions({ townId: "t" }, { select: (town) => town.rigs.length });
