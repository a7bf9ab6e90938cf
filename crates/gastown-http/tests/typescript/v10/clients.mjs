import { createTRPCProxyClient, httpBatchLink, httpLink } from "@trpc/client";

const links = { httpLink, httpBatchLink };

/** Each link of version 10 by name, as a function from (url, headers) to a client. */
export const clients = Object.entries(links).map(([name, link]) => ({
  name: `v10 ${name}`,
  connect: (url, headers) => createTRPCProxyClient({ links: [link({ url, headers })] }),
}));
