# Sourced by the batch scripts, in the folder that they were submitted from.
# Runs trigger-ml as a step of the job: from the project's environment (`make setup`), or from the container
# image that TRIGGER_ML_IMAGE names (slurm/trigger_ml.def).
trigger_ml() {
    local program=(.venv/bin/trigger-ml)
    if [[ -n "${TRIGGER_ML_IMAGE:-}" ]]; then
        program=(apptainer exec --bind "$PWD" "$TRIGGER_ML_IMAGE" trigger-ml)
    fi
    # since SLURM 22.05 a step does not inherit the job's cores: without the option it would have one
    srun --cpus-per-task="$SLURM_CPUS_PER_TASK" "${program[@]}" "$@"
}
