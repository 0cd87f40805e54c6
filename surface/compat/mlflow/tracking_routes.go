package mlflow

import (
	"context"
	"net/http"

	"github.com/leat-ai/leat/base/fault"
)

// trackingRoutes are the operations on experiments, runs, logged models and
// artifacts.
func (m *surface) trackingRoutes() []route {
	const (
		root        = "2.0/mlflow/"
		experiments = root + "experiments/"
		runs        = root + "runs/"
		metrics     = root + "metrics/"
		models      = root + "logged-models"
		files       = "2.0/mlflow-artifacts/artifacts"
		parts       = "2.0/mlflow-artifacts/mpu/"
	)
	return []route{
		{http.MethodPost, experiments + "create", verbRun, call(m.createExperiment)},
		{http.MethodGet, experiments + "search", verbRead, call(m.searchExperiments)},
		{http.MethodPost, experiments + "search", verbRead, call(m.searchExperiments)},
		{http.MethodGet, experiments + "get", verbRead, call(m.getExperiment)},
		{http.MethodGet, experiments + "get-by-name", verbRead, call(m.getExperimentByName)},
		{http.MethodPost, experiments + "delete", verbRun, call(m.deleteExperiment)},
		{http.MethodPost, experiments + "restore", verbRun, call(m.restoreExperiment)},
		{http.MethodPost, experiments + "update", verbRun, call(m.renameExperiment)},
		{http.MethodPost, experiments + "set-experiment-tag", verbRun, call(m.setExperimentTag)},
		{http.MethodPost, experiments + "delete-experiment-tag", verbRun, call(m.deleteExperimentTag)},
		{http.MethodPost, experiments + "search-datasets", verbRead, call(m.searchDatasets)},

		{http.MethodPost, runs + "create", verbRun, call(m.createRun)},
		{http.MethodPost, runs + "update", verbRun, call(m.updateRun)},
		{http.MethodPost, runs + "delete", verbRun, call(m.deleteRun)},
		{http.MethodPost, runs + "restore", verbRun, call(m.restoreRun)},
		{http.MethodGet, runs + "get", verbRead, call(m.getRun)},
		{http.MethodPost, runs + "search", verbRead, m.searchRuns},
		{http.MethodPost, runs + "log-metric", verbRun, call(m.logMetric)},
		{http.MethodPost, runs + "log-parameter", verbRun, call(m.logParam)},
		{http.MethodPost, runs + "set-tag", verbRun, call(m.setTag)},
		{http.MethodPost, runs + "delete-tag", verbRun, call(m.deleteTag)},
		{http.MethodPost, runs + "log-batch", verbRun, call(m.logBatch)},
		{http.MethodPost, runs + "log-model", verbRun, call(m.logModel)},
		{http.MethodPost, runs + "log-inputs", verbRun, call(m.logInputs)},
		{http.MethodPost, runs + "outputs", verbRun, call(m.logOutputs)},
		{http.MethodGet, metrics + "get-history", verbRead, call(m.history)},
		{http.MethodGet, metrics + "get-history-bulk", verbRead, call(m.historyBulk)},
		{http.MethodGet, metrics + "get-history-bulk-interval", verbRead, call(m.historyInterval)},

		{http.MethodPost, models, verbRun, call(m.createLogged)},
		{http.MethodPost, models + "/search", verbRead, call(m.searchLogged)},
		{http.MethodGet, models + "/{model_id}", verbRead, called(m.getLogged)},
		{http.MethodPatch, models + "/{model_id}", verbRun, called(m.finishLogged)},
		{http.MethodDelete, models + "/{model_id}", verbRun, called(m.deleteLogged)},
		{http.MethodPatch, models + "/{model_id}/tags", verbRun, called(m.tagLogged)},
		{http.MethodDelete, models + "/{model_id}/tags/{key}", verbRun, called(m.untagLogged)},
		{http.MethodPost, models + "/{model_id}/params", verbRun, called(m.paramsLogged)},
		{http.MethodGet, models + "/{model_id}/artifacts/directories", verbRead, called(m.listLogged)},

		{http.MethodGet, root + "artifacts/list", verbRead, call(m.listOfRun)},
		{http.MethodGet, files, verbRead, call(m.listFiles)},
		{http.MethodGet, files + "/{path...}", verbRead, m.download},
		{http.MethodDelete, files + "/{path...}", verbRun, m.remove},
		{http.MethodPost, parts + "create/{path...}", verbRun, noParts},
		{http.MethodPost, parts + "complete/{path...}", verbRun, noParts},
		{http.MethodPost, parts + "abort/{path...}", verbRun, noParts},
		{http.MethodGet, "2.0/mlflow-artifacts/presigned/{path...}", verbRead, noAddress},

		{http.MethodGet, "3.0/mlflow/server-info", verbRead, call(serverInfo)},
	}
}

func healthy(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) }

// protocolVersion is the version of MLflow whose protocol is spoken: clients
// ask for it to learn what a server can do.
const protocolVersion = "3.17.2"

func version(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(protocolVersion)) }

// serverInfoMessage says what the server can do beyond the basics.
type serverInfoMessage struct {
	StoreType    string `json:"store_type"`
	Workspaces   bool   `json:"workspaces_enabled"`
	TraceArchive bool   `json:"trace_archival_enabled"`
	Uploads      bool   `json:"multipart_uploads_enabled"`
	Downloads    bool   `json:"multipart_downloads_enabled"`
}

func serverInfo(context.Context, none) (serverInfoMessage, error) {
	return serverInfoMessage{StoreType: "SqlStore"}, nil
}

// nowhere answers what no operation is at.
func nowhere(w http.ResponseWriter, r *http.Request) {
	writeAs(w, http.StatusNotFound, wireError{"ENDPOINT_NOT_FOUND", fault.New(fault.NotFound, "there is no operation at %.200s", r.URL.Path).Error()})
}
