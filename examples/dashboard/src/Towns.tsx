import type { TownListChange, TownSummary } from "@gastown/client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useSubscription } from "@trpc/tanstack-react-query";
import { useState } from "react";

import { Field } from "./Field";
import { Problem } from "./Problem";
import { TownCard } from "./TownCard";
import { useTRPC } from "./trpc";

/** Returns the list after a change, oldest first. */
function changed(before: TownSummary[] = [], { isWhole, towns, gone }: TownListChange) {
  if (isWhole) return towns;
  const told = new Map(towns.map((town) => [town.townId, town]));
  const kept = before.filter(({ townId }) => !gone.includes(townId)).map((town) => told.get(town.townId) ?? town);
  return [...kept, ...towns.filter(({ townId }) => !before.some((town) => town.townId === townId))];
}

/** Watches the list of towns. */
function useTowns() {
  const trpc = useTRPC();
  const [towns, setTowns] = useState<TownSummary[]>();
  const watch = useSubscription(
    trpc.gastown.watchTowns.subscriptionOptions(undefined, {
      onData: ({ data }) => setTowns((before) => changed(before, data)),
    }),
  );
  return { towns, error: watch.error };
}

/** The list of towns, and the form for a new one. */
export function Towns() {
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const refresh = () => queryClient.invalidateQueries({ queryKey: trpc.gastown.pathKey() });
  const create = useMutation(trpc.gastown.createTown.mutationOptions({ onSettled: refresh }));
  const { towns, error } = useTowns();
  const regions = useQuery(trpc.gastown.listRegions.queryOptions());
  return (
    <main>
      <h1>Towns</h1>
      <form
        aria-label="New town"
        action={(form) => {
          const region = String(form.get("region"));
          create.mutate({ townName: String(form.get("townName")), ...(region && { region }) });
        }}
      >
        <Field name="townName" label="Name" error={create.error} />
        <label>
          Region{" "}
          <select name="region">
            <option value="">any</option>
            {regions.data?.map(({ region }) => <option key={region}>{region}</option>)}
          </select>
        </label>
        <button disabled={create.isPending}>Create</button>
        <Problem of={create.error} fields={["townName"]} />
      </form>
      <Problem of={error} />
      {towns?.map((town) => <TownCard key={town.townId} town={town} refresh={refresh} />)}
      {towns?.length === 0 && <p>No towns yet.</p>}
    </main>
  );
}
