-- What Argo CD shows for a TracingPolicy or a LinkRule. Their conditions follow kstatus, so this says the same as Flux.
local status = obj.status or {}

if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "it is being deleted"}
end

-- Conditions of another generation are about a spec that is no longer there.
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "the changed spec has not been looked at yet"}
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(kind, value)
  return conditions[kind] ~= nil and conditions[kind].status == value
end

if is("Stalled", "True") then
  return {status = "Degraded", message = conditions.Stalled.message}
end
if is("Reconciling", "True") then
  return {status = "Progressing", message = conditions.Reconciling.message}
end
if is("Ready", "False") then
  return {status = "Degraded", message = conditions.Ready.message}
end
if is("Ready", "True") then
  if conditions.Ready.reason == "Suspended" then
    return {status = "Suspended", message = conditions.Ready.message}
  end
  return {status = "Healthy", message = conditions.Ready.message}
end
return {status = "Progressing", message = "waiting for Kubeweft to look at it"}
