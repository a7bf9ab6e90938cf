// Generated from the Rust types by `cargo xtask codegen`. Do not edit.

import type { TRPCBuiltRouter, TRPCMutationProcedure, TRPCQueryProcedure, TRPCSubscriptionProcedure } from "@trpc/server";

import type {
  ErrorShape,
  AddRigInput,
  AddedRig,
  CreateTownInput,
  DestroyTownInput,
  EventPage,
  ListEventsInput,
  ListTownsInput,
  Region,
  RemoveRigInput,
  RestoreTownInput,
  RestoredTown,
  RigDetails,
  RigInput,
  RigRemoval,
  StartedTown,
  Town,
  TownChange,
  TownInput,
  TownListChange,
  TownStatusReport,
  TownSummary,
  UpdateTownInput,
  WatchTownInput,
  WatchTownsInput,
} from "./types.js";

export * from "./types.js";

interface RootTypes {
  ctx: object;
  meta: object;
  errorShape: ErrorShape;
  transformer: false;
}

/** A value that is JSON already. tRPC takes its type as it is, with known keys beside an index signature. */
interface Json<Value> {
  toJSON(): Value;
}

type Query<Input, Output> = TRPCQueryProcedure<{ input: Input; output: Json<Output>; meta: object }>;
type Mutation<Input, Output> = TRPCMutationProcedure<{ input: Input; output: Json<Output>; meta: object }>;

/** Each value comes with its id, after which the client resumes. */
type Subscription<Input, Output> = TRPCSubscriptionProcedure<{
  input: Input;
  output: AsyncIterable<{ id: string; data: Output }, void, unknown>;
  meta: object;
}>;

/** The procedures of users. */
export type Gastown = {
  /** Lists the regions of towns. */
  listRegions: Query<void, Region[]>;
  /** Creates a town. It is still `provisioning`, with its operation, if it does not run in time. */
  createTown: Mutation<CreateTownInput, Town>;
  /** Lists the caller's towns, oldest first. Destroyed towns are not listed. */
  listTowns: Query<ListTownsInput | void, TownSummary[]>;
  /** Returns a town with its rigs, its health, its operation and the end of the last one. */
  getTownStatus: Query<TownInput, TownStatusReport>;
  /** Lists the history of a town, newest first. The service keeps events for 90 days, or as configured. */
  listEvents: Query<ListEventsInput, EventPage>;
  /** Watches a town: each step of its operations, its status and its health, as server-sent events. */
  watchTown: Subscription<WatchTownInput, TownChange>;
  /** Watches the caller's list of towns: first the whole list, then what has changed in it. */
  watchTowns: Subscription<WatchTownsInput | void, TownListChange>;
  /** Adds a repository to a town. The rig is `pending` while the sandbox does not answer. A town that was stopped because it was idle starts, and the answer says so. */
  addRig: Mutation<AddRigInput, AddedRig>;
  /** Returns one rig with its configuration. */
  getRig: Query<RigInput, RigDetails>;
  /** Removes a rig from a town. */
  removeRig: Mutation<RemoveRigInput, RigRemoval>;
  /** Changes the configuration of a town, if it has not changed since it was read. */
  updateTown: Mutation<UpdateTownInput, Town>;
  /** Stops a town and keeps its volume. */
  stopTown: Mutation<TownInput, Town>;
  /** Starts a stopped town, and says so if it was stopped because it was idle. */
  startTown: Mutation<TownInput, StartedTown>;
  /** Restores a town whose volume is lost: a new volume with the data that was saved to R2. */
  restoreTown: Mutation<RestoreTownInput, RestoredTown>;
  /** Destroys a town. Its owner sees it as `destroyed`, with its operation, until nothing is left. */
  destroyTown: Mutation<DestroyTownInput, Town>;
};

/** The router, for `createTRPCClient<AppRouter>` and `createTRPCContext<AppRouter>` of version 11. */
export type AppRouter = TRPCBuiltRouter<RootTypes, { gastown: Gastown }>;
