package app

import (
	"maps"
	"strings"
)

// mlflowAccess says which grant the operations of MLflow's protocol ask for,
// at each of their two prefixes.
func mlflowAccess(others map[string]string) map[string]string {
	all := maps.Clone(others)
	for grant, routes := range map[string]string{
		"read": `
			GET 2.0/mlflow/experiments/search
			POST 2.0/mlflow/experiments/search
			GET 2.0/mlflow/experiments/get
			GET 2.0/mlflow/experiments/get-by-name
			POST 2.0/mlflow/experiments/search-datasets
			GET 2.0/mlflow/runs/get
			POST 2.0/mlflow/runs/search
			GET 2.0/mlflow/metrics/get-history
			GET 2.0/mlflow/metrics/get-history-bulk
			GET 2.0/mlflow/metrics/get-history-bulk-interval
			POST 2.0/mlflow/logged-models/search
			GET 2.0/mlflow/logged-models/{model_id}
			GET 2.0/mlflow/logged-models/{model_id}/artifacts/directories
			GET 2.0/mlflow/artifacts/list
			GET 2.0/mlflow-artifacts/artifacts
			GET 2.0/mlflow-artifacts/artifacts/{path...}
			GET 2.0/mlflow-artifacts/presigned/{path...}
			GET 3.0/mlflow/server-info
			GET 2.0/mlflow/registered-models/get
			GET 2.0/mlflow/registered-models/search
			GET 2.0/mlflow/registered-models/get-latest-versions
			POST 2.0/mlflow/registered-models/get-latest-versions
			GET 2.0/mlflow/registered-models/alias
			GET 2.0/mlflow/model-versions/get
			GET 2.0/mlflow/model-versions/search
			GET 2.0/mlflow/model-versions/get-download-uri`,
		"run": `
			POST 2.0/mlflow/experiments/create
			POST 2.0/mlflow/experiments/delete
			POST 2.0/mlflow/experiments/restore
			POST 2.0/mlflow/experiments/update
			POST 2.0/mlflow/experiments/set-experiment-tag
			POST 2.0/mlflow/experiments/delete-experiment-tag
			POST 2.0/mlflow/runs/create
			POST 2.0/mlflow/runs/update
			POST 2.0/mlflow/runs/delete
			POST 2.0/mlflow/runs/restore
			POST 2.0/mlflow/runs/log-metric
			POST 2.0/mlflow/runs/log-parameter
			POST 2.0/mlflow/runs/set-tag
			POST 2.0/mlflow/runs/delete-tag
			POST 2.0/mlflow/runs/log-batch
			POST 2.0/mlflow/runs/log-model
			POST 2.0/mlflow/runs/log-inputs
			POST 2.0/mlflow/runs/outputs
			POST 2.0/mlflow/logged-models
			PATCH 2.0/mlflow/logged-models/{model_id}
			DELETE 2.0/mlflow/logged-models/{model_id}
			PATCH 2.0/mlflow/logged-models/{model_id}/tags
			DELETE 2.0/mlflow/logged-models/{model_id}/tags/{key}
			POST 2.0/mlflow/logged-models/{model_id}/params
			PUT 2.0/mlflow-artifacts/artifacts/{path...}
			DELETE 2.0/mlflow-artifacts/artifacts/{path...}
			POST 2.0/mlflow-artifacts/mpu/create/{path...}
			POST 2.0/mlflow-artifacts/mpu/complete/{path...}
			POST 2.0/mlflow-artifacts/mpu/abort/{path...}`,
		"apply": `
			POST 2.0/mlflow/registered-models/create
			POST 2.0/mlflow/registered-models/rename
			PATCH 2.0/mlflow/registered-models/update
			DELETE 2.0/mlflow/registered-models/delete
			POST 2.0/mlflow/registered-models/set-tag
			DELETE 2.0/mlflow/registered-models/delete-tag
			POST 2.0/mlflow/registered-models/alias
			DELETE 2.0/mlflow/registered-models/alias
			POST 2.0/mlflow/model-versions/create
			PATCH 2.0/mlflow/model-versions/update
			POST 2.0/mlflow/model-versions/transition-stage
			DELETE 2.0/mlflow/model-versions/delete
			POST 2.0/mlflow/model-versions/set-tag
			DELETE 2.0/mlflow/model-versions/delete-tag
			GET 2.0/mlflow/webhooks
			POST 2.0/mlflow/webhooks
			GET 2.0/mlflow/webhooks/{webhook_id}
			PATCH 2.0/mlflow/webhooks/{webhook_id}
			DELETE 2.0/mlflow/webhooks/{webhook_id}
			POST 2.0/mlflow/webhooks/{webhook_id}/test`,
		anyKey: "GET \nPOST \nPUT \nPATCH \nDELETE ", // what there is not
	} {
		for line := range strings.Lines(routes) {
			if line = strings.Trim(line, "\t\n"); line != "" {
				method, path, _ := strings.Cut(line, " ")
				all[method+" /api/"+path], all[method+" /ajax-api/"+path] = grant, grant
			}
		}
	}
	all["GET /health"], all["GET /version"] = open, open
	return all
}
