import { createTRPCClient, httpSubscriptionLink } from "@trpc/client";
import { EventSource } from "eventsource";

/** Returns a client for subscriptions. The token is a connection parameter, as in a browser. */
export const watcher = (url, token) =>
  createTRPCClient({ links: [httpSubscriptionLink({ url, EventSource, connectionParams: () => ({ token }) })] });
