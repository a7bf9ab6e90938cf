import { errorData, fieldErrors } from "@gastown/client";

/** Shows an error that belongs to no field of the form. */
export function Problem({ of: error, fields = [] }: { of: unknown; fields?: string[] }) {
  if (!(error instanceof Error)) return null;
  const data = errorData(error);
  if (data?.issues) {
    const others = data.issues.filter(({ path }) => !fields.includes(String(path[0])));
    return others.map((issue) => <p role="alert" key={issue.path.join(".")}>{`${issue.path.join(".")} ${issue.message}`}</p>);
  }
  return <p role="alert">{data ? error.message : "The service does not answer."}</p>;
}

/** Returns the fault of one field. */
export function fault(error: unknown, field: string): string | undefined {
  return fieldErrors(error)[field]?.join(", ");
}
