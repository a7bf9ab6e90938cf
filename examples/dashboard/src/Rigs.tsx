import type { RefusedRig, Rig } from "@gastown/client";
import { useMutation } from "@tanstack/react-query";

import { Field } from "./Field";
import { Problem } from "./Problem";
import { useTRPC } from "./trpc";

/** The repositories of a town. */
export function Rigs({ townId, rigs, refused, refresh }: {
  townId: string;
  rigs: Rig[];
  refused: RefusedRig[];
  refresh: () => void;
}) {
  const trpc = useTRPC();
  const add = useMutation(trpc.gastown.addRig.mutationOptions({ onSettled: refresh }));
  const remove = useMutation(trpc.gastown.removeRig.mutationOptions({ onSettled: refresh }));
  return (
    <>
      <ul aria-label="Rigs">
        {rigs.map(({ rigId, rigName, repoUrl, status }) => (
          <li key={rigId}>
            {rigName}: {repoUrl} ({status}){" "}
            <button onClick={() => remove.mutate({ townId, rigId })}>Remove {rigName}</button>
          </li>
        ))}
        {refused.map(({ rigName, reason }) => (
          <li key={rigName}>
            {rigName} was refused: {reason}
          </li>
        ))}
      </ul>
      <form
        aria-label="New rig"
        action={(form) =>
          add.mutate({ townId, rigName: String(form.get("rigName")), repoUrl: String(form.get("repoUrl")) })
        }
      >
        <Field name="rigName" label="Rig" error={add.error} />
        <Field name="repoUrl" label="Repository" error={add.error} />
        <button disabled={add.isPending}>Add</button>
        <Problem of={add.error ?? remove.error} fields={["rigName", "repoUrl"]} />
      </form>
    </>
  );
}
