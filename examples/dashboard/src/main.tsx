import type { AppRouter } from "@gastown/client";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createTRPCClient, httpBatchStreamLink, httpSubscriptionLink, splitLink } from "@trpc/client";
import { StrictMode, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";

import { Towns } from "./Towns";
import { TRPCProvider } from "./trpc";

const url = "/trpc";

/** Subscriptions are server-sent events, for which a browser sends no headers. So their token is a parameter. */
function connect(token: string) {
  const live = httpSubscriptionLink({ url, connectionParams: () => ({ token }) });
  const calls = httpBatchStreamLink({ url, headers: { authorization: `Bearer ${token}` } });
  return createTRPCClient<AppRouter>({
    links: [splitLink({ condition: ({ type }) => type === "subscription", true: live, false: calls })],
  });
}

function SignIn({ onToken }: { onToken: (token: string) => void }) {
  return (
    <form action={(form) => onToken(String(form.get("token")).trim())}>
      <label>
        Token <input name="token" type="password" required />
      </label>
      <button>Sign in</button>
    </form>
  );
}

function App() {
  const [token, setToken] = useState("");
  const queryClient = useMemo(() => new QueryClient({ defaultOptions: { queries: { retry: false } } }), [token]);
  const trpcClient = useMemo(() => connect(token), [token]);
  if (!token) return <SignIn onToken={setToken} />;
  return (
    <QueryClientProvider client={queryClient}>
      <TRPCProvider trpcClient={trpcClient} queryClient={queryClient}>
        <Towns />
      </TRPCProvider>
    </QueryClientProvider>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
