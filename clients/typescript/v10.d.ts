// Generated from the Rust types by `cargo xtask codegen`. Do not edit.

import type { AnyRootConfig, CreateRouterInner, Procedure, ProcedureParams } from "@trpc/server";

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
  TownInput,
  TownStatusReport,
  TownSummary,
  UpdateTownInput,
} from "./types.js";

export * from "./types.js";

/** Not the default transformer: tRPC takes the type of an output as it is. */
interface Config extends AnyRootConfig {
  $types: { ctx: object; meta: object; errorShape: ErrorShape; transformer: false };
  transformer: false;
}

type Params<Input, Output> = ProcedureParams<Config, object, Input, Input, Output, Output, object>;
type Query<Input, Output> = Procedure<"query", Params<Input, Output>>;
type Mutation<Input, Output> = Procedure<"mutation", Params<Input, Output>>;

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

/** The router, for `createTRPCProxyClient<AppRouter>` of version 10. */
export type AppRouter = CreateRouterInner<Config, { gastown: CreateRouterInner<Config, Gastown> }>;
