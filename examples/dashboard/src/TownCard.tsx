import type { Town } from "@gastown/client";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { Problem } from "./Problem";
import { Rigs } from "./Rigs";
import { useTRPC } from "./trpc";

/** One town: status, live steps of its operation, rigs, and what its owner may do. */
export function TownCard({ town, refresh }: { town: Town; refresh: () => void }) {
  const trpc = useTRPC();
  const { townId } = town;
  const [isDoomed, setDoomed] = useState(false);
  const options = { onSettled: refresh };
  const stop = useMutation(trpc.gastown.stopTown.mutationOptions(options));
  const start = useMutation(trpc.gastown.startTown.mutationOptions(options));
  const destroy = useMutation(trpc.gastown.destroyTown.mutationOptions(options));
  const isBusy = stop.isPending || start.isPending || destroy.isPending;
  const status = useQuery(
    trpc.gastown.getTownStatus.queryOptions(
      { townId },
      { refetchInterval: ({ state }) => (isBusy || state.data?.operation !== null ? 300 : 5000) },
    ),
  );
  const { operation, lastOutcome } = status.data ?? { operation: town.operation, lastOutcome: null };
  const shown = status.data?.status ?? town.status;
  return (
    <section aria-label={town.townName}>
      <h2>{town.townName}</h2>
      <p>
        <span data-testid="status">{shown}</span> in {town.flyRegion}
      </p>
      {operation && (
        <p data-testid="operation">
          {operation.kind}: {operation.step ?? "accepted"}
          {operation.lastError && `, ${operation.lastError.message}`}
        </p>
      )}
      {!operation && lastOutcome?.failure && (
        <p role="alert">
          The last {lastOutcome.kind} failed: {lastOutcome.failure.message}
        </p>
      )}
      {shown === "running" && <button onClick={() => stop.mutate({ townId })} disabled={isBusy}>Stop</button>}
      {shown === "stopped" && <button onClick={() => start.mutate({ townId })} disabled={isBusy}>Start</button>}
      <button onClick={() => setDoomed(true)} disabled={isBusy}>Destroy</button>
      {isDoomed && (
        <p role="alertdialog" aria-label={`Destroy ${town.townName}`}>
          All data of {town.townName} will be deleted.{" "}
          <button onClick={() => destroy.mutate({ townId })} disabled={isBusy}>Destroy for good</button>
          <button onClick={() => setDoomed(false)}>Keep</button>
        </p>
      )}
      <Problem of={stop.error ?? start.error ?? destroy.error} />
      {status.data && <Rigs townId={townId} rigs={status.data.rigs} refused={status.data.refusedRigs} refresh={refresh} />}
    </section>
  );
}
