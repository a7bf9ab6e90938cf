import { createTRPCClient, httpBatchLink, httpBatchStreamLink, httpLink } from "@trpc/client";

const links = { httpLink, httpBatchLink, httpBatchStreamLink };

/** Each link of version 11 by name, as a function from (url, headers) to a client. */
export const clients = Object.entries(links).map(([name, link]) => ({
  name: `v11 ${name}`,
  connect: (url, headers) => createTRPCClient({ links: [link({ url, headers })] }),
}));
