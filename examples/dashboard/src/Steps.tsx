import type { TownChange } from "@gastown/client";
import { useSubscription } from "@trpc/tanstack-react-query";
import { useState } from "react";

import { useTRPC } from "./trpc";

type Step = { id: string; message: string };

/**
 * Watches a town from a call until the end of its operation. Returns the last change meanwhile, and the changes of the present
 * or last operation.
 *
 * A browser has six connections to an origin over HTTP/1.1, and each watch needs one. So idle towns are not watched.
 */
export function useSteps(townId: string, isWatched: boolean, refresh: () => void) {
  const trpc = useTRPC();
  const [steps, setSteps] = useState<Step[]>([]);
  const [isInFlight, setInFlight] = useState(false);
  const enabled = isWatched || isInFlight;
  const watch = useSubscription(
    trpc.gastown.watchTown.subscriptionOptions(
      { townId },
      {
        enabled,
        onData: ({ id, data: { change, message, operation } }) => {
          setInFlight(operation !== null);
          const begins = change === "present" || change === "started";
          setSteps((before) => (begins ? [{ id, message }] : [...before, { id, message }]));
          if (change === "ended" || change === "gone") refresh();
        },
      },
    ),
  );
  // The last value stays after the end of the subscription.
  const live: TownChange | undefined = enabled ? watch.data?.data : undefined;
  return { live, steps };
}

/** The steps, oldest first. */
export function Steps({ of: steps }: { of: Step[] }) {
  if (steps.length === 0) return null;
  return (
    <ol aria-label="Steps">
      {steps.map(({ id, message }, index) => (
        <li key={`${index} ${id}`}>{message}</li>
      ))}
    </ol>
  );
}
