"""What users write: specs of TracingPolicies and LinkRules as values, and the Secrets that they name."""
