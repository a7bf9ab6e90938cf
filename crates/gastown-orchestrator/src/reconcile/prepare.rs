//! Preparing the call of a step: everything it needs, built whole from the row each time, with a fresh token (FM-25).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gastown_domain::ports::{MachineSpec, SandboxAddress, SealError, StoreError, VolumeSpec};
use gastown_domain::{
    AppName, Failure, ImageRef, MachineId, OperationKind, Progress, Region, Step, Town, VolumeId, image_of_town,
};
use secrecy::SecretString;

use super::lease::OnLoss;
use crate::ports::Ports;
use crate::rigs::address_of_machine;
use crate::settings::Settings;
use crate::tokens::{SecretError, gateway_token};

/// The whole configuration of a machine, with a fresh token.
pub(super) struct NewMachine {
    pub(super) spec: MachineSpec,
    token_expires_at: DateTime<Utc>,
}

/// A call to the provider or the sandbox, ready to be sent.
pub(super) enum Call {
    CreateVolume(VolumeSpec),
    CreateMachine(NewMachine),
    UpdateMachine(MachineId, NewMachine),
    StartMachine(MachineId),
    AwaitStarted(MachineId),
    StopMachine(MachineId),
    AwaitStopped(MachineId),
    DeleteMachine(MachineId),
    AwaitDestroyed(MachineId),
    DeleteVolume(VolumeId),
    PrepareSandbox(SandboxAddress),
    PrepareRestored(SandboxAddress),
    FinalSync(SandboxAddress),
}

impl Call {
    /// Returns the configuration that the call gives to a machine.
    const fn machine(&self) -> Option<&NewMachine> {
        match self {
            Self::CreateMachine(machine) | Self::UpdateMachine(_, machine) => Some(machine),
            Self::CreateVolume(_)
            | Self::StartMachine(_)
            | Self::AwaitStarted(_)
            | Self::StopMachine(_)
            | Self::AwaitStopped(_)
            | Self::DeleteMachine(_)
            | Self::AwaitDestroyed(_)
            | Self::DeleteVolume(_)
            | Self::PrepareSandbox(_)
            | Self::PrepareRestored(_)
            | Self::FinalSync(_) => None,
        }
    }

    /// Returns the progress with what the call gives to a machine: the expiry of its token, and its image. Written with the
    /// intent, so that it is known of a machine whose create was not answered.
    pub(super) fn intended(&self, progress: Progress) -> Progress {
        let Some(machine) = self.machine() else { return progress };
        Progress {
            token_expires_at: Some(machine.token_expires_at),
            image: Some(machine.spec.image.clone()),
            image_confirmed: false,
            ..progress
        }
    }

    /// Returns how the call is handled when its claim is lost: what creates something is finished, so that it is known.
    pub(super) const fn on_loss(&self) -> OnLoss {
        match self {
            Self::CreateVolume(_) | Self::CreateMachine(_) => OnLoss::RunToCompletion,
            Self::UpdateMachine(..)
            | Self::StartMachine(_)
            | Self::AwaitStarted(_)
            | Self::StopMachine(_)
            | Self::AwaitStopped(_)
            | Self::DeleteMachine(_)
            | Self::AwaitDestroyed(_)
            | Self::DeleteVolume(_)
            | Self::PrepareSandbox(_)
            | Self::PrepareRestored(_)
            | Self::FinalSync(_) => OnLoss::Abandon,
        }
    }
}

/// An action without a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCall {
    /// Observe again.
    ObserveAgain,
    /// Wait for an unconfirmed create.
    AwaitUnconfirmed,
    /// Soft-delete the row.
    SoftDelete,
    /// End the operation at its goal.
    Finish,
    /// React to a lost volume.
    VolumeLost,
    /// Give up.
    GiveUp(Failure),
}

/// A step, prepared.
pub(super) enum Prepared {
    /// Send this call.
    Call(Box<Call>),
    /// The step makes no call.
    NoCall(NoCall),
    /// The call cannot be prepared.
    Failed(Failure),
}

/// The town of a step.
#[derive(Clone, Copy)]
pub(super) struct Preparation<'a> {
    pub(super) ports: &'a Ports,
    pub(super) settings: &'a Settings,
    pub(super) app: &'a AppName,
    pub(super) town: &'a Town,
    pub(super) kind: OperationKind,
    /// The image that this operation gave, or was to give, to a machine before.
    pub(super) given: Option<&'a ImageRef>,
}

impl Preparation<'_> {
    /// Prepares the call of a step.
    ///
    /// Errors: the registry's, where the owner cannot be read.
    pub(super) async fn prepare(self, step: &Step) -> Result<Prepared, StoreError> {
        Ok(Prepared::Call(Box::new(match step {
            Step::CreateVolume(region) => Call::CreateVolume(self.volume_spec(region)),
            // An earlier create may still appear. All creates of an operation have one image, so that it is known.
            Step::CreateMachine { volume, region } => match self.new_machine(volume, region, self.given).await {
                Ok(machine) => Call::CreateMachine(machine),
                Err(error) => return not_prepared(error),
            },
            Step::UpdateMachine { machine, volume, region } => match self.new_machine(volume, region, None).await {
                Ok(new) => Call::UpdateMachine(machine.clone(), new),
                Err(error) => return not_prepared(error),
            },
            Step::StartMachine(machine) => Call::StartMachine(machine.clone()),
            Step::AwaitStarted(machine) => Call::AwaitStarted(machine.clone()),
            Step::StopMachine(machine) => Call::StopMachine(machine.clone()),
            Step::AwaitStopped(machine) => Call::AwaitStopped(machine.clone()),
            Step::DeleteMachine(machine) => Call::DeleteMachine(machine.clone()),
            Step::AwaitDestroyed(machine) => Call::AwaitDestroyed(machine.clone()),
            Step::DeleteSurplusVolume(volume) | Step::DeleteVolume(volume) => Call::DeleteVolume(volume.clone()),
            Step::PrepareSandbox(machine) if self.restores() => Call::PrepareRestored(self.address(machine)),
            Step::PrepareSandbox(machine) => Call::PrepareSandbox(self.address(machine)),
            Step::FinalSync(machine) => Call::FinalSync(self.address(machine)),
            Step::ObserveAgain => return Ok(Prepared::NoCall(NoCall::ObserveAgain)),
            Step::AwaitUnconfirmed => return Ok(Prepared::NoCall(NoCall::AwaitUnconfirmed)),
            Step::SoftDelete => return Ok(Prepared::NoCall(NoCall::SoftDelete)),
            Step::Finish => return Ok(Prepared::NoCall(NoCall::Finish)),
            Step::GiveUpVolumeLost => return Ok(Prepared::NoCall(NoCall::VolumeLost)),
            Step::GiveUpVolumeFound => return Ok(Prepared::NoCall(NoCall::GiveUp(Failure::VolumeFound))),
            Step::GiveUpMachineFailed => return Ok(Prepared::NoCall(NoCall::GiveUp(Failure::MachineFailed))),
            Step::GiveUpNoCapacity => return Ok(Prepared::NoCall(NoCall::GiveUp(Failure::NoCapacity))),
        })))
    }

    fn address(self, machine: &MachineId) -> SandboxAddress {
        address_of_machine(self.app, self.ports.secrets.towns.as_ref(), self.town.id, machine)
    }

    /// Returns true if the sandbox is to restore its data from R2.
    fn restores(self) -> bool {
        self.kind == OperationKind::Restore
    }

    fn volume_spec(self, region: &Region) -> VolumeSpec {
        let template = &self.settings.machine;
        VolumeSpec {
            app: self.app.clone(),
            town: self.town.id,
            region: region.clone(),
            size: template.volume,
            guest: template.guest,
        }
    }

    async fn new_machine(
        self,
        volume: &VolumeId,
        region: &Region,
        given: Option<&ImageRef>,
    ) -> Result<NewMachine, SecretError> {
        let token = gateway_token(self.ports, self.town).await?;
        let token_expires_at = token.expires_at;
        let template = &self.settings.machine;
        let image = match given {
            Some(given) => given.clone(),
            None => self.image().await?,
        };
        let metadata = [
            ("gastown_town_id", self.town.id.to_string()),
            ("gastown_sandbox_id", self.town.sandbox_id.to_string()),
            ("gastown_user_id", self.town.owner.to_string()),
            // A lost registry is rebuilt from these.
            ("gastown_town_name", self.town.name.to_string()),
        ];
        let spec = MachineSpec {
            app: self.app.clone(),
            town: self.town.id,
            region: region.clone(),
            image,
            guest: template.guest,
            volume: volume.clone(),
            env: self.environment(token.token)?,
            metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        };
        Ok(NewMachine { spec, token_expires_at })
    }

    /// Returns the image that the town's machine gets now.
    async fn image(self) -> Result<ImageRef, SecretError> {
        let rollout = self.ports.store.rollouts.deciding(self.town.id).await.map_err(SecretError::Store)?;
        Ok(image_of_town(&self.settings.machine.image, rollout.as_ref()).clone())
    }

    fn environment(self, token: SecretString) -> Result<BTreeMap<String, String>, SecretError> {
        let given = &self.settings.env;
        let plain = [
            ("KILO_API_URL", Some(given.kilo_api_url.clone())),
            ("TOWN_ID", Some(self.town.id.to_string())),
            ("INTERNAL_API_KEY_ID", Some(self.ports.secrets.towns.key_id())),
            ("R2_BUCKET", Some(given.r2_bucket.clone())),
            ("R2_ENDPOINT", given.r2_endpoint.clone()),
            ("GASTOWN_CLOUD_URL", given.gastown_cloud_url.clone()),
            ("R2_RESTORE", self.restores().then(|| "1".to_owned())),
        ];
        let secret = [
            ("KILO_JWT", Some(token)),
            ("R2_ACCESS_KEY", Some(given.r2_access_key.clone())),
            ("R2_SECRET_KEY", given.r2_secret_key.clone()),
            ("INTERNAL_API_KEY", Some(self.ports.secrets.towns.key_of(self.town.id))),
        ];
        let mut env: BTreeMap<String, String> =
            plain.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        for (name, value) in secret {
            if let Some(value) = value {
                env.insert(name.to_owned(), self.sealed(&value)?);
            }
        }
        Ok(env)
    }

    fn sealed(self, value: &SecretString) -> Result<String, SecretError> {
        self.ports.secrets.sealer.seal(value).map_err(|error: SealError| {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to seal secret");
            SecretError::Failed(Failure::SecretsUnavailable)
        })
    }
}

fn not_prepared(error: SecretError) -> Result<Prepared, StoreError> {
    match error {
        SecretError::Store(error) => Err(error),
        SecretError::Failed(failure) => Ok(Prepared::Failed(failure)),
    }
}
