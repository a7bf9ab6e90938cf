import { useId } from "react";

import { fault } from "./Problem";

/** A text field with the fault that the service found in it. */
export function Field({ name, label, error, required = true }: {
  name: string;
  label: string;
  error: unknown;
  required?: boolean;
}) {
  const [id, text] = [useId(), fault(error, name)];
  return (
    <p>
      <label>
        {label} <input name={name} required={required} aria-invalid={text !== undefined} aria-describedby={id} />
      </label>
      {text && (
        <span id={id} role="alert">
          {text}
        </span>
      )}
    </p>
  );
}
