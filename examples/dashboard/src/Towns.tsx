import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { Field } from "./Field";
import { Problem } from "./Problem";
import { TownCard } from "./TownCard";
import { useTRPC } from "./trpc";

/** The list of towns, and the form for a new one. The list is polled while a town is being created. */
export function Towns() {
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const refresh = () => queryClient.invalidateQueries({ queryKey: trpc.gastown.pathKey() });
  const create = useMutation(trpc.gastown.createTown.mutationOptions({ onSettled: refresh }));
  const towns = useQuery(trpc.gastown.listTowns.queryOptions(undefined, { refetchInterval: create.isPending ? 300 : 5000 }));
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
      <Problem of={towns.error} />
      {towns.data?.map((town) => <TownCard key={town.townId} town={town} refresh={refresh} />)}
      {towns.data?.length === 0 && <p>No towns yet.</p>}
    </main>
  );
}
