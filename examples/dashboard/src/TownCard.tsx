import type { Town } from "@gastown/client";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { Problem } from "./Problem";
import { Rigs } from "./Rigs";
import { Steps, useSteps } from "./Steps";
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
  const status = useQuery(trpc.gastown.getTownStatus.queryOptions({ townId }, { refetchInterval: 5000 }));
  const { live, steps } = useSteps(townId, isBusy || town.operation !== null, refresh);
  const { status: shown, operation } = live ?? town;
  const lastOutcome = status.data?.lastOutcome;
  return (
    <section aria-label={town.townName}>
      <h2>{town.townName}</h2>
      <p>
        <span data-testid="status">{shown}</span> in {town.flyRegion}
      </p>
      {operation && (
        <p data-testid="operation">
          {operation.kind}: {operation.stepMessage ?? "accepted"}
          {operation.lastError && `, ${operation.lastError.message}`}
        </p>
      )}
      {status.data?.idleStop && <p role="status">{status.data.idleStop.message}</p>}
      <Steps of={steps} />
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
